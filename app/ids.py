"""Names the gateway makes up."""

from __future__ import annotations

import re
import uuid

_SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}", re.ASCII)


def new_run_id() -> str:
    """The id of a chat completion, which is also the id of its run (contract, HTTP section 7)."""
    return f"chatcmpl_{uuid.uuid4()}"


def new_request_id() -> str:
    return f"req_{uuid.uuid4().hex}"


def request_id_from(candidate: str | None) -> str:
    """The caller's own request id if it is harmless in a header and a log line, else a new one."""
    if candidate and _SANE_REQUEST_ID.fullmatch(candidate):
        return candidate
    return new_request_id()
