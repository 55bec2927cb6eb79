"""What the server itself refuses, before there is a request for Flask: in the same envelope as all else."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import orjson
from gunicorn.http.errors import InvalidHeader

from app.ids import new_request_id

SINGLE = ("HOST", "AUTHORIZATION")
SINGLE_PREFIXES = ("X-OPENCLAW-", "X-CLAWDBOT-")


def write_error(sock: Any, status: int, reason: str, message: str) -> None:
    """Takes the place of gunicorn's own, which writes a page of HTML. Closes nothing."""
    kind = "api_error" if status >= 500 else "invalid_request_error"
    text = message or reason or HTTPStatus(status).phrase
    body = orjson.dumps({"error": {"message": text[:500], "type": kind, "param": None, "code": None}})
    head = (
        f"HTTP/1.1 {status} {reason}\r\n"
        "Connection: close\r\n"
        "Content-Type: application/json\r\n"
        "Cache-Control: no-store\r\n"
        f"X-Request-Id: {new_request_id()}\r\n"
        "X-Content-Type-Options: nosniff\r\n"
        "Referrer-Policy: no-referrer\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    sock.sendall(head.encode("latin-1", "replace") + body)


def refuse_ambiguous_headers(_worker: Any, request: Any) -> None:
    """Raise for a header given twice whose value decides who is asking what. (gunicorn's `pre_request`)

    The server would join the values with a comma, and a proxy in front may have looked at only one.
    """
    seen: set[str] = set()
    for name, _ in request.headers:
        if name in SINGLE or name.startswith(SINGLE_PREFIXES):
            if name in seen:
                raise InvalidHeader(f"{name.title()} is given twice", req=request)
            seen.add(name)
