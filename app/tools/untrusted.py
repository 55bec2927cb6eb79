"""Marks text that comes from outside (pages, search results, servers), so that a model does not obey it.

The marks have a random id, and the text cannot have marks of its own. Source of the form: openclaw 2026.9.6.
"""

from __future__ import annotations

import re
import secrets

_MARKS = re.compile(r"<<<(?=\s*/?(END_)?EXTERNAL_UNTRUSTED_CONTENT)", re.IGNORECASE)


def wrap_untrusted(text: str, source: str) -> str:
    """The text between marks that say that nothing in it is an instruction."""
    mark = secrets.token_hex(8)
    inside = _MARKS.sub("< < <", text)
    shown_source = _MARKS.sub("< < <", source)
    return (
        f'<<<EXTERNAL_UNTRUSTED_CONTENT id="{mark}">>>\nSource: {shown_source}\n---\n{inside}\n'
        f'<<<END_EXTERNAL_UNTRUSTED_CONTENT id="{mark}">>>'
    )
