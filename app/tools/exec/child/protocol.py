"""What worker and keeper say to each other: a JSON object on each line.

To the keeper, first: `{"argv", "cwd", "env", "pty", "input", "seconds"}` (`input`: whether the command's
input stays open), or `{"marks"}`; then any number of `{"input": base64, "eof"}` and `{"kill": reason}`.
From the keeper: `{"started": pid}` or `{"failed": message}`, then `{"output": text}`, at last
`{"ended": {"code", "signal", "reason", "left", "seconds"}}`.
"""

from __future__ import annotations

import json
import socket
from typing import Any

MAX_LINE = 16 * 1024 * 1024  # bytes
READ_BYTES = 64 * 1024


class Lines:
    """Cuts what arrives into lines."""

    def __init__(self, rest: bytes = b"") -> None:
        self._rest = bytearray(rest)

    def feed(self, data: bytes) -> list[Any]:
        """The objects that are complete with `data`. Raises ValueError: a line has no JSON, or no end."""
        self._rest += data
        *lines, rest = self._rest.split(b"\n")
        if len(rest) > MAX_LINE:
            raise ValueError("a line without end")
        self._rest = rest
        return [json.loads(line) for line in lines if line]


def read_line(link: socket.socket) -> tuple[dict[str, Any], bytes]:
    """The first object, and what has arrived behind it. Raises EOFError, ConnectionError."""
    data = bytearray()
    while b"\n" not in data:
        piece = link.recv(READ_BYTES)
        if not piece or len(data) > MAX_LINE:
            raise EOFError
        data += piece
    line, _, rest = data.partition(b"\n")
    request: dict[str, Any] = json.loads(line)
    return request, bytes(rest)


def dump(message: dict[str, Any]) -> bytes:
    return json.dumps(message).encode() + b"\n"
