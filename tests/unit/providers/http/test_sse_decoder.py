"""Server-sent events: the same payloads however the bytes are split, at a cost linear in the bytes."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, ClassVar

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.errors import UpstreamError
from app.providers.http import sse
from app.providers.http.sse import MAX_EVENT_BYTES, SseDecoder


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


CUTS = st.lists(st.integers(0, 200), max_size=12)


def pieces_of(text: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    return [text[start:end] for start, end in pairwise(edges)]


@given(streams(), CUTS)
@example((b"data: a\r\n\r\ndata: b\r\n\r\n", [b"a", b"b"]), [8, 9, 10])
def test_the_same_payloads_however_the_bytes_are_split(made: tuple[bytes, list[bytes]], cuts: list[int]):
    text, payloads = made
    assert decode(*pieces_of(text, cuts)) == payloads


BLANK_LINES = st.sampled_from(
    [b"\n\n", b"\r\n\r\n", b"\r\r", b"\n\r\n", b"\r\n\n", b"\r\n\r", b"\n\r", b"\r"]
)


@given(st.lists(st.sampled_from([b"data: a", b"data:", b":", b"x"]) | BLANK_LINES).map(b"".join), CUTS)
@example(b"data: a\r\rdata: b\n\r\n\rdata: c", [8])
def test_mixed_line_ends_mean_the_same_however_they_are_split(text: bytes, cuts: list[int]):
    assert decode(*pieces_of(text, cuts)) == decode(text) == decode(*(bytes([byte]) for byte in text))


def test_an_event_without_an_end_is_given_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 100)
    decoder = SseDecoder()
    decoder.feed(b"data: " + b"x" * 90)
    with pytest.raises(UpstreamError):
        decoder.feed(b"x" * 10)


def test_the_bound_for_one_event_is_4_mib():
    decoder = SseDecoder()
    whole = b"data: " + b"x" * (MAX_EVENT_BYTES - 6)
    assert decode(whole[:1000], whole[1000:] + b"\n\n") == [whole[6:]]
    decoder.feed(whole)
    with pytest.raises(UpstreamError, match="more than 4 MiB"):
        decoder.feed(b"x\n\n")


class Counted(bytes):
    """Counts the bytes that operations on it, or on what results from them, may have looked at or copied."""

    touched: ClassVar[int] = 0


def counting(name: str) -> Any:
    def operation(self: Counted, *args: Any) -> Any:
        others = [arg for arg in args if isinstance(arg, bytes)]
        Counted.touched += len(self) + sum(map(len, others))
        if name == "__radd__" and not others:
            return NotImplemented  # a bytearray appends `self` itself
        result = others[0] + bytes(self) if name == "__radd__" else getattr(bytes, name)(self, *args)
        if isinstance(result, list):
            return [Counted(one) for one in result]
        return Counted(result) if isinstance(result, bytes) else result

    return operation


SEARCHES = ("__contains__", "split", "find", "index", "count", "partition", "startswith", "endswith")
COPIES = ("__add__", "__radd__", "__getitem__", "replace", "removeprefix", "removesuffix", "rstrip", "strip")
for name in SEARCHES + COPIES:
    setattr(Counted, name, counting(name))


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_the_work_grows_with_the_bytes_and_not_with_their_square(line_end: bytes):
    """Searching or copying the whole event again for each of its 513 pieces would touch 256 times as much."""
    line = b"data: " + b"x" * 1018 + line_end
    text = line * 2048 + line_end
    Counted.touched = 0
    decoder = SseDecoder()
    pieces = [Counted(text[at : at + 4096]) for at in range(0, len(text), 4096)]
    payloads = [payload for piece in pieces for payload in decoder.feed(piece)]
    assert [len(payload) for payload in payloads] == [2048 * 1018 + 2047]
    assert len(text) < Counted.touched < 20 * len(text)
