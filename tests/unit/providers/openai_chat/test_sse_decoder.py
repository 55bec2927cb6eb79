"""Server-sent events: the same payloads however the bytes are cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.errors import UpstreamError
from app.providers.openai_chat import stream
from app.providers.openai_chat.stream import SseDecoder


def decode(*pieces: bytes) -> list[bytes]:
    decoder = SseDecoder()
    payloads = [payload for piece in pieces for payload in decoder.feed(piece)]
    return payloads + decoder.end()


@pytest.mark.parametrize(
    ("data", "payloads"),
    [
        (b"", []),
        (b"data: a\n\n", [b"a"]),
        (b"data:a\n\n", [b"a"]),
        (b"data:  a \n\n", [b" a "]),
        (b"data: a\n\ndata: b\n\n", [b"a", b"b"]),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", [b"a", b"b"]),
        (b"data: a\r\rdata: b\r\r", [b"a", b"b"]),
        (b"data: a\r\n\ndata: b\n\r\n", [b"a", b"b"]),
        (b"data: a\n\n\n\n\ndata: b\n\n", [b"a", b"b"]),
        (b"\n\ndata: a\n\n", [b"a"]),
        (b"data: a\ndata: b\n\n", [b"a\nb"]),
        (b"data: a\r\ndata:\r\ndata: b\r\n\r\n", [b"a\n\nb"]),
        (b": hello\n\ndata: a\n\n", [b"a"]),
        (b": hello\ndata: a\n: bye\n\n", [b"a"]),
        (b":\n\n", []),
        (b"event: x\nid: 5\nretry: 10\ndata: a\n\n", [b"a"]),
        (b"event: ping\n\n", []),
        (b"data\n\n", []),
        (b"data:\n\n", []),
        (b"database: a\n\n", []),
        (b" data: a\n\n", []),
        (b"data: a", [b"a"]),
        (b"data: a\n", [b"a"]),
        (b"data: a\r", [b"a"]),
        (b"data: a\r\n", [b"a"]),
        (b"data: a\n\ndata: b", [b"a", b"b"]),
        (b"data: a\r\n\r\ndata: b\r\n", [b"a", b"b"]),
        (b": only a comment", []),
        (b"data: \xff\x00\xc3\n\n", [b"\xff\x00\xc3"]),
    ],
)
def test_payloads(data: bytes, payloads: list[bytes]):
    assert decode(data) == payloads
    assert decode(*(data[at : at + 1] for at in range(len(data)))) == payloads


LINE = st.binary(min_size=1, max_size=12).map(
    lambda line: line.replace(b"\r", b"").replace(b"\n", b"") or b"x"
)
NOISE = st.sampled_from([[b": keepalive"], [b"event: x"], [b"id: 5", b"retry: 1"], [b""], []])


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    """The bytes of a stream, and its payloads."""
    end = draw(st.sampled_from([b"\n", b"\r\n", b"\r"]))
    lines: list[bytes] = []
    payloads: list[bytes] = []
    for data in draw(st.lists(st.lists(LINE, min_size=1, max_size=3), max_size=5)):
        lines += draw(NOISE)
        colon = draw(st.sampled_from([b"data: ", b"data:"]))
        lines += [(b"data: " if line.startswith(b" ") else colon) + line for line in data]
        lines += [*draw(st.sampled_from([[], [b": comment"]])), b"", *draw(st.sampled_from([[], [b""]]))]
        payloads.append(b"\n".join(data))
    text = b"".join(line + end for line in lines)
    if draw(st.booleans()):
        text = text.rstrip(b"\r\n")
    return text, payloads


@given(streams(), st.lists(st.integers(0, 200), max_size=12))
@example((b"data: a\r\n\r\ndata: b\r\n\r\n", [b"a", b"b"]), [8, 9, 10])
def test_the_same_payloads_however_the_bytes_are_cut(made: tuple[bytes, list[bytes]], cuts: list[int]):
    text, payloads = made
    edges = [0, *sorted(cuts), len(text)]
    assert decode(*(text[start:end] for start, end in pairwise(edges))) == payloads


def test_an_event_without_an_end_is_given_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stream, "MAX_EVENT_BYTES", 100)
    decoder = SseDecoder()
    decoder.feed(b"data: " + b"x" * 90)
    with pytest.raises(UpstreamError):
        decoder.feed(b"x" * 10)
