"""Server-sent events: bytes in, name and data of each event out. Pure.

The format is https://html.spec.whatwg.org/multipage/server-sent-events.html.
"""

from __future__ import annotations

from typing import NamedTuple

from app.tools.mcp.protocol import MAX_MESSAGE_BYTES, too_large


class SseEvent(NamedTuple):
    name: str
    data: bytes


class SseReader:
    """Reads one stream, which may arrive in pieces of any size, in time linear in its bytes."""

    def __init__(self) -> None:
        self._partial = bytearray()
        self._name = "message"
        self._data: list[bytes] = []
        self._size = 0
        self._after_cr = False

    def feed(self, piece: bytes) -> list[SseEvent]:
        """The events that `piece` completes, but those without data, with which some servers begin.

        Raises McpError for one that is too large.
        """
        if self._after_cr and piece[:1] == b"\n":
            piece = piece[1:]
        self._after_cr = piece.endswith(b"\r") if piece else self._after_cr
        *lines, rest = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        events = []
        for line in lines:
            whole = bytes(self._partial) + line if self._partial else line
            self._partial.clear()
            if (event := self._line(whole)) is not None:
                events.append(event)
        self._partial += rest
        if self._size + len(self._partial) > MAX_MESSAGE_BYTES:
            raise too_large()
        return events

    def _line(self, line: bytes) -> SseEvent | None:
        if not line:
            name, data = self._name, self._data
            self._name, self._data, self._size = "message", [], 0
            joined = b"\n".join(data)
            return SseEvent(name, joined) if joined.strip() else None
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._size += len(value) + 1
            if self._size > MAX_MESSAGE_BYTES:
                raise too_large()
            self._data.append(value)
        elif field.removeprefix(b"\xef\xbb\xbf") == b"event":
            self._name = value[:100].decode("utf-8", "replace") or "message"
        return None
