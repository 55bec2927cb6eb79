"""Lines of a pipe or a socket, bounded, without holding the event loop up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from app.concurrency.fairness import give_way
from app.tools.mcp.protocol import too_large

READ_BYTES = 64 * 1024


class Readable(Protocol):
    """A file without a buffer of its own: `read` returns what there is."""

    def read(self, size: int, /) -> bytes | None: ...


def read_lines(stream: Readable, limit: int, cut: bool = False) -> Iterator[bytes]:
    """Non-empty lines as they come, of at most `limit` bytes. Raises McpError for a longer one, unless it is
    to be `cut`.
    """
    partial = bytearray()
    while data := _read_some(stream):
        give_way()
        *lines, rest = data.split(b"\n")
        for line in lines:
            partial += line
            whole = bytes(partial).strip()
            partial.clear()
            if whole:
                yield whole[:limit]
                give_way()
        partial += rest
        if len(partial) > limit:
            if not cut:
                raise too_large()
            del partial[limit:]
    if whole := bytes(partial).strip():
        yield whole[:limit]


def _read_some(stream: Readable) -> bytes:
    try:
        return stream.read(READ_BYTES) or b""
    except (OSError, ValueError):
        return b""  # closed by us
