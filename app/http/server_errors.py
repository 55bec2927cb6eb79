"""What gunicorn itself refuses, before Flask has a request: in the same envelope as all other errors."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import orjson
from gunicorn.http.errors import InvalidHeader

from app.http.server_requests import linger
from app.ids import new_request_id

UNIQUE = ("HOST", "AUTHORIZATION", "IDEMPOTENCY-KEY")
UNIQUE_PREFIXES = ("X-OPENCLAW-", "X-CLAWDBOT-")


def write_error(sock: Any, status: int, reason: str, message: str) -> None:
    """Write an error response, in place of gunicorn's function, which writes HTML; wait until it is read.

    Does not close `sock`, but nothing more can be sent.
    """
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
    linger(sock)


def refuse_ambiguous_headers(_worker: Any, request: Any) -> None:
    """For gunicorn's `pre_request`: raise InvalidHeader if a header that must be unique is repeated.

    gunicorn would join the values with a comma, while a proxy in front may have looked at only one of them.
    """
    seen: set[str] = set()
    for name, _ in request.headers:
        if name in UNIQUE or name.startswith(UNIQUE_PREFIXES):
            if name in seen:
                raise InvalidHeader(f"{name.title()} is given twice", req=request)
            seen.add(name)
