"""What sets one kind of provider apart from another: one table, by the provider's `api`.

The configuration, the registry of providers, the list of models and the sums of usage ask it, and compare no
names of their own. A new wire format is a row here, a package in `app/providers/` and a row in
`app/bootstrap.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

ProviderApi = Literal["openai-completions", "local", "builtin", "scripted"]

DEFAULT_API: ProviderApi = "openai-completions"
LOCAL_MODEL = "smollm2"


@dataclass(frozen=True, slots=True)
class ApiFacts:
    """The facts about one kind of provider."""

    needs_base_url: bool = False
    needs_local_package: bool = False  # serves only where `requirements-local.txt` is installed
    is_bundled: bool = False  # comes with the gateway: there without a key and without an entry in the file
    is_free: bool = False  # nobody charges for it, so a missing price means 0
    may_be_default: bool = False  # its model may be taken for agents that name none
    has_scripts: bool = False
    own_model: str | None = None  # the model it serves if its settings name none


APIS: Mapping[ProviderApi, ApiFacts] = {
    "openai-completions": ApiFacts(needs_base_url=True, may_be_default=True),
    "local": ApiFacts(
        needs_local_package=True, is_bundled=True, is_free=True, may_be_default=True, own_model=LOCAL_MODEL
    ),
    "builtin": ApiFacts(is_bundled=True, is_free=True),
    "scripted": ApiFacts(is_free=True, has_scripts=True),
}
