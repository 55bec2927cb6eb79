"""`logs.tail`: the newest log lines (docs/websocket.md#methods)."""

from __future__ import annotations

from typing import Any

from app.ws.call import Call, Handler

DEFAULT_LINES, MAX_LINES = 500, 5000
DEFAULT_BYTES, MAX_BYTES = 250_000, 1_000_000
MAX_CURSOR = 2**53 - 1  # what JavaScript can count to
PLACE = "(memory)"


def tail(call: Call) -> Any:
    """The lines since `cursor`, which an earlier call has given; without one, the newest."""
    params = call.params
    cursor = params.integer("cursor", -1, 0, MAX_CURSOR)
    found = call.gateway.logs.tail(
        None if cursor < 0 else cursor,
        params.integer("limit", DEFAULT_LINES, 1, MAX_LINES),
        params.integer("maxBytes", DEFAULT_BYTES, 1, MAX_BYTES),
    )
    return {
        "file": PLACE,
        "cursor": found.cursor,
        "size": found.cursor,
        "lines": found.lines,
        "truncated": found.truncated,
        "reset": found.reset,
    }


LOGS: dict[str, Handler] = {"logs.tail": tail}
