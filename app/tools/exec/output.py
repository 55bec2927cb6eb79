"""A command's output as it is kept: its beginning, and as much of its end as fits. Pure."""

from __future__ import annotations

MAX_KEPT = 200_000  # characters of the end
MAX_HEAD = 10_000  # characters of the beginning


class OutputLog:
    """`total` is how many characters there have been."""

    def __init__(self, max_kept: int = MAX_KEPT, max_head: int = MAX_HEAD) -> None:
        self._max_kept, self._max_head = max_kept, max_head
        self._head = ""
        self._pieces: list[str] = []
        self._size = 0
        self.total = 0

    def add(self, text: str) -> None:
        if len(self._head) < self._max_head:
            self._head += text[: self._max_head - len(self._head)]
        self.total += len(text)
        self._pieces.append(text)
        self._size += len(text)
        if self._size > 2 * self._max_kept:
            self._join()

    @property
    def kept(self) -> str:
        """All that is kept of the end."""
        if len(self._pieces) > 1 or self._size > self._max_kept:
            self._join()
        return self._pieces[0] if self._pieces else ""

    @property
    def start(self) -> int:
        """How many characters have been dropped before `kept`."""
        return self.total - len(self.kept)

    def _join(self) -> None:
        self._pieces = ["".join(self._pieces)[-self._max_kept :]]
        self._size = len(self._pieces[0])

    def tail(self, size: int) -> str:
        """The last `size` characters."""
        return self.kept[-size:] if size else ""

    def text(self, size: int) -> str:
        """All of it, or the beginning and the end, about `size` characters."""
        if self.total <= size and self.start == 0:
            return self.kept
        head = self._head[: size // 3]
        tail = self.tail(size - len(head))
        return f"{head}\n\n[… {self.total - len(head) - len(tail)} characters were left out here …]\n\n{tail}"

    def since(self, position: int, size: int) -> str:
        """What has come after the first `position` characters; of that at most the last `size`."""
        new = self.total - position
        found = self.tail(min(new, size))
        if len(found) < new:
            return f"[… {new - len(found)} characters were left out here …]\n{found}"
        return found
