"""Names the gateway makes up."""

from __future__ import annotations

import os
import re

_SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}", re.ASCII)


def new_uuid() -> str:
    """A random UUID (version 4, RFC 9562), past the library's detours by way of a number and an object."""
    text = new_hex()
    variant = "89ab"[int(text[16], 16) & 3]
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{variant}{text[17:20]}-{text[20:]}"


def new_hex() -> str:
    """128 random bits as 32 digits."""
    try:
        return _drawn.pop()
    except IndexError:
        digits = os.urandom(16 * DRAW).hex()
        _drawn.extend([digits[start : start + 32] for start in range(0, len(digits), 32)])
        return _drawn.pop()


# Drawn in advance, for each time the system is asked costs as much as all the rest of a name. A child
# process must not give out what its parent may.
DRAW = 64
_drawn: list[str] = []
os.register_at_fork(after_in_child=_drawn.clear)


def new_run_id() -> str:
    """The id of a chat completion, which is also the id of its run (contract, HTTP section 7)."""
    return f"chatcmpl_{new_uuid()}"


def new_request_id() -> str:
    return f"req_{new_hex()}"


def request_id_from(candidate: str | None) -> str:
    """The caller's own request id if it is harmless in a header and a log line, else a new one."""
    if candidate and _SANE_REQUEST_ID.fullmatch(candidate):
        return candidate
    return new_request_id()
