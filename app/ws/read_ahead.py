"""Messages that a client has sent and the gateway has not yet handled: only so many are read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import SupportsIndex

from app.ws.buffered_socket import BufferedSocket

MAX_READ_AHEAD = 32  # messages
MAX_READ_AHEAD_BYTES = 1024 * 1024  # of all of them, or characters


class ReadAhead(list[str | bytes]):
    """Takes the place of simple-websocket's `input_buffer`, which has no bound.

    The library's reader appends messages, its `receive` pops them. Beyond the bounds `socket` is not read.
    """

    def __init__(self, socket: BufferedSocket, messages: Iterable[str | bytes] = ()) -> None:
        super().__init__()
        self._socket = socket
        self._size = 0
        for message in messages:
            self.append(message)

    def append(self, message: str | bytes) -> None:
        super().append(message)
        self._size += len(message)
        if self._is_full():
            self._socket.pause_reading()

    def pop(self, index: SupportsIndex = -1) -> str | bytes:
        message = super().pop(index)
        self._size -= len(message)
        if not self._is_full():
            self._socket.resume_reading()
        return message

    def _is_full(self) -> bool:
        return len(self) > MAX_READ_AHEAD or self._size > MAX_READ_AHEAD_BYTES
