"""Of the output that comes between two messages to the worker: the beginning and the end. Pure."""

from __future__ import annotations

from collections import deque


class Window:
    """Keeps the first and the last `size` bytes of what is added since it was last emptied."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._empty()

    def _empty(self) -> None:
        self._head = bytearray()
        self._tail: deque[bytes] = deque()
        self._tail_bytes = 0
        self._dropped = 0

    def add(self, data: bytes) -> None:
        room = self._size - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        if not data:
            return
        self._tail.append(data[-self._size :])
        self._dropped += max(0, len(data) - self._size)
        self._tail_bytes += min(len(data), self._size)
        while self._tail_bytes - len(self._tail[0]) >= self._size:
            old = self._tail.popleft()
            self._tail_bytes -= len(old)
            self._dropped += len(old)

    def take(self) -> tuple[bytes, int, bytes]:
        """The beginning, how many bytes are missing after it, and the end; then it is empty."""
        tail = b"".join(self._tail)
        excess = max(0, len(tail) - self._size) if self._dropped else 0
        found = bytes(self._head), self._dropped + excess, tail[excess:]
        self._empty()
        return found
