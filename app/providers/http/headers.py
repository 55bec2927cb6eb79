"""The headers of requests to a provider: the gateway's own, and those that the configuration adds."""

from __future__ import annotations

import re
from collections.abc import Mapping

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")  # all but the tab


def merge_headers(*mappings: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Each header once, whatever the case of its name: the name in lower case -> name and value. The last
    mapping that has a header gives its value.

    Raises ValueError for a header that would be more than one line.
    """
    merged: dict[str, tuple[str, str]] = {}
    for name, value in (item for mapping in mappings for item in mapping.items()):
        if _CONTROL.search(name + value):
            raise ValueError(f"the header {name!r} has a control character")
        merged[name.lower()] = (name, value)
    return merged
