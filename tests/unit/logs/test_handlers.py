"""Our log handlers work without a lock on every Python: the library's use of it differs between versions."""

from __future__ import annotations

import io
import logging

from app.logs.lines import LineHandler, TextFormatter
from app.logs.ring import LogRing


def a_handler() -> tuple[LineHandler, io.StringIO]:
    stream = io.StringIO()
    handler = LineHandler(stream)
    handler.setFormatter(TextFormatter())
    return handler, stream


def a_record(message: str) -> logging.LogRecord:
    return logging.LogRecord("app.test", logging.INFO, "x.py", 1, message, None, None)


def test_a_line_is_handled_and_flushed_without_a_lock():
    handler, stream = a_handler()
    assert handler.handle(a_record("hello"))
    handler.flush()
    assert stream.getvalue().endswith("app.test: hello\n")


def test_the_library_may_ask_for_the_lock():
    handler, stream = a_handler()
    handler.acquire()
    handler.setStream(other := io.StringIO())
    handler.release()
    handler.handle(a_record("hello"))
    assert stream.getvalue() == ""
    assert "hello" in other.getvalue()


def test_a_filter_drops_a_line():
    handler, stream = a_handler()
    handler.addFilter(lambda record: record.getMessage() != "secret")
    assert not handler.handle(a_record("secret"))
    assert handler.handle(a_record("open"))
    assert "secret" not in stream.getvalue()
    assert "open" in stream.getvalue()


def test_the_ring_keeps_what_is_handled():
    ring = LogRing()
    assert ring.handle(a_record("kept"))
    assert "kept" in ring.tail(None, 10, 10_000).lines[0]
