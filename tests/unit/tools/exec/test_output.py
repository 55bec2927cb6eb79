"""A command's output on its way: made harmless, bounded, kept."""

from __future__ import annotations

import time

import pytest

from app.tools.exec.child.text import OutputText
from app.tools.exec.child.window import Window
from app.tools.exec.output import OutputLog


def shown(*pieces: bytes) -> str:
    text = OutputText()
    return "".join(map(text.feed, pieces)) + text.feed(b"", final=True)


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        ((b"plain \xe2\x82\xac\n",), "plain €\n"),
        ((b"\xe2\x82", b"\xac"), "€"),
        ((b"a\xff\xfeb",), "a\ufffd\ufffdb"),
        ((b"\x1b[1;31mred\x1b[0m",), "red"),
        ((b"\x1b[1;", b"31mred"), "red"),
        ((b"\x1b]0;title\x07rest",), "rest"),
        ((b"\x1b]8;;http://x\x1b", b"\\link\x1b]8;;\x1b\\"), "link"),
        ((b"one\r\ntwo\r", b"\nthree\rfour"), "one\ntwo\nthree\nfour"),
        ("\x9b31mred\x9d0;t\x9crest\x85".encode(), "redrest"),
        ((b"\x00bell\x07back\x08\x7f",), "bellback"),
        (("abc\u202edef\u2066",), "abcdef"),
        ((b"\x1b(Bcharset\x1b=",), "charset"),
        ((b"tab\tstays",), "tab\tstays"),
    ],
)
def test_what_a_terminal_would_obey_is_left_out(pieces: object, text: str):
    given = (pieces,) if isinstance(pieces, bytes) else pieces
    assert shown(*(one.encode() if isinstance(one, str) else one for one in given)) == text  # type: ignore[attr-defined]


@pytest.mark.parametrize("piece", ["\x9d", "\x1b]", "\x1b[", "\x1b", "\x90x", "\r", "\x1b[0;", "\x9b"])
def test_hostile_output_takes_no_longer(piece: str):
    data = (piece * 40_000).encode()
    started = time.process_time()
    shown(data, data)
    assert time.process_time() - started < 2


def test_a_window_keeps_the_beginning_and_the_end():
    window = Window(4)
    for piece in (b"ab", b"cdef", b"g", b"hijkl", b"m"):
        window.add(piece)
    assert window.take() == (b"abcd", 5, b"jklm")
    assert window.take() == (b"", 0, b"")
    window.add(b"abcdefg")
    assert window.take() == (b"abcd", 0, b"efg")
    window.add(b"x" * 100)
    assert window.take() == (b"xxxx", 92, b"xxxx")


def test_a_log_keeps_its_beginning_and_its_end():
    log = OutputLog(max_kept=10, max_head=3)
    log.add("abc")
    assert log.text(100) == "abc"
    for letter in "defghijklmnop":
        log.add(letter)
    assert (log.total, log.kept[-10:], log.tail(3)) == (16, "ghijklmnop", "nop")
    assert log.text(6).startswith("ab\n\n[… 10 characters were left out")
    assert log.text(6).endswith("mnop")
    assert log.since(14, 10) == "op"
    assert log.since(0, 4) == "[… 12 characters were left out here …]\nmnop"
    assert log.since(16, 4) == ""
    log.add("x" * 1000)
    assert len(log.kept) == 10
