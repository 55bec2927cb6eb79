"""The newest log lines, kept for operators."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest

from app.logs import lines as logs
from app.logs.lines import MAX_FIELD, log_event
from app.logs.redaction import REDACTED
from app.logs.ring import LogRing, Tail

logger = logging.getLogger("app.test.ring")


@pytest.fixture
def ring() -> Iterator[LogRing]:
    ring = LogRing(most=5)
    ring.install()
    logger.setLevel(logging.INFO)
    yield ring
    ring.remove()


def documents(tail: Tail) -> list[dict[str, Any]]:
    return [json.loads(line) for line in tail.lines]


def said(tail: Tail) -> list[str]:
    return [one["message"] for one in documents(tail)]


def tail(ring: LogRing, cursor: int | None = None, lines: int = 100, size: int = 100_000) -> Tail:
    return ring.tail(cursor, lines, size)


def test_a_line_has_all_that_was_logged(ring):
    token = logs.request_id.set("req_1")
    log_event(logger, logging.INFO, "run finished", run_id="r1", tokens=3, odd=["x"])
    logs.request_id.reset(token)
    (line,) = documents(tail(ring))
    assert (line["level"], line["logger"], line["message"]) == ("info", "app.test.ring", "run finished")
    assert line["fields"] == {"run_id": "r1", "tokens": 3, "odd": "['x']", "request_id": "req_1"}


def test_a_line_is_one_that_openclaws_clients_can_read(ring):
    log_event(logger, logging.WARNING, "watch out", path="/x")
    (line,) = documents(tail(ring))
    assert line["0"] == "watch out path=/x"
    assert line["_meta"]["logLevelName"] == "WARNING"
    assert json.loads(line["_meta"]["name"]) == {"subsystem": "app.test.ring"}
    assert line["time"] == line["_meta"]["date"]
    assert line["time"].startswith(time.strftime("%Y-%m", time.gmtime()))


def test_no_secret_is_kept_readable(ring):
    logger.info("got Bearer canary-1 from %s", "sk-canary-23456789")
    log_event(logger, logging.INFO, "x", header="authorization: canary-3")
    try:
        int("Bearer canary-5")
    except ValueError:
        logger.exception("failed with ?token=canary-4")
    found = tail(ring).lines
    assert len(found) == 3
    assert "canary-" not in "".join(found)
    assert REDACTED in found[0]
    assert "ValueError" in documents(tail(ring))[2]["exception"]


def test_arguments_are_taken_as_they_are_when_logged(ring):
    changing = ["before"]
    logger.info("it was %s", changing)
    changing[0] = "after"
    assert said(tail(ring)) == ["it was ['before']"]


def test_a_line_is_bounded_and_a_wrong_one_is_left_out(ring, monkeypatch):
    monkeypatch.setattr(logging, "raiseExceptions", False)
    logger.info("x" * 100_000)
    logger.info("%s %s", "too few")
    assert [len(one) for one in said(tail(ring))] == [MAX_FIELD]


class TestCursor:
    @pytest.fixture(autouse=True)
    def _three(self, ring):
        for number in range(3):
            logger.info("line %d", number)

    def test_all_there_is_then_what_is_new(self, ring):
        first = tail(ring)
        assert said(first) == ["line 0", "line 1", "line 2"]
        assert tail(ring, first.cursor) == Tail(first.cursor, [], truncated=False, reset=False)
        logger.info("line 3")
        second = tail(ring, first.cursor)
        assert said(second) == ["line 3"]
        assert second.cursor > first.cursor

    def test_only_the_newest_of_many(self, ring):
        found = tail(ring, lines=2)
        assert said(found) == ["line 1", "line 2"]
        assert (found.truncated, found.reset) == (False, False)

    def test_only_what_there_is_room_for(self, ring):
        size = len(tail(ring).lines[0]) + 1
        found = tail(ring, size=2 * size)
        assert said(found) == ["line 1", "line 2"]
        assert found.truncated
        assert tail(ring, size=1).lines == []

    def test_the_oldest_make_room(self, ring):
        before = tail(ring).cursor - 3
        for number in range(3, 8):
            logger.info("line %d", number)
        assert said(tail(ring)) == [f"line {number}" for number in range(3, 8)]
        late = tail(ring, before)
        assert (said(late)[0], late.reset) == ("line 3", True)

    def test_a_cursor_of_another_process(self, ring):
        for cursor in (0, 12345, tail(ring).cursor + 1):
            found = tail(ring, cursor)
            assert (len(found.lines), found.reset) == (3, True)


def test_what_is_removed_hears_no_more(ring):
    ring.remove()
    logger.info("unheard")
    assert tail(ring).lines == []


def test_a_line_costs_little(ring):
    """A bound for slow machines, too; the real figure is some three microseconds."""
    record = logger.makeRecord("app.x", logging.INFO, "", 0, "run finished", (), None)
    record.fields = {"run_id": "r1", "agent": "main", "total_ms": 12.5}
    started = time.process_time()
    for _ in range(1000):
        ring.handle(record)
    assert (time.process_time() - started) / 1000 < 0.00005
