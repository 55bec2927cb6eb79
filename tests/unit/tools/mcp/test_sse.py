from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.tools.mcp.protocol import MAX_MESSAGE_BYTES, McpError
from app.tools.mcp.sse import SseEvent, SseReader

STREAM = (
    b": hello\r\n\r\nid: 1\r\ndata:\r\n\r\nevent: endpoint\ndata: /messages?a=1\n\n"
    b'data: {"a":\rdata:1}\r\rretry: 5\n\ndata: last\n\n'
)
EVENTS = [
    SseEvent("endpoint", b"/messages?a=1"),
    SseEvent("message", b'{"a":\n1}'),
    SseEvent("message", b"last"),
]


@given(st.lists(st.integers(0, len(STREAM)), max_size=20))
def test_events_are_the_same_however_the_stream_is_split(cuts: list[int]):
    reader, found = SseReader(), []
    edges = [0, *sorted(cuts), len(STREAM)]
    for start, end in pairwise(edges):
        found += reader.feed(STREAM[start:end])
    assert found == EVENTS


@pytest.mark.parametrize("piece", [b"data: " + b"x" * 1_000_000, b"data: " + b"x" * 1_000_000 + b"\n"])
def test_an_event_without_an_end_is_an_error(piece: bytes):
    reader = SseReader()
    for _ in range(MAX_MESSAGE_BYTES // 1_000_000):
        assert reader.feed(piece) == []
    with pytest.raises(McpError, match="MiB"):
        reader.feed(piece)
