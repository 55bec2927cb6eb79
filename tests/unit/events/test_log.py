"""A run's events: in order, to their one end, for any number of readers at any position."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import pytest

from app.errors import UpstreamError
from app.events.log import EventLog
from app.events.types import Event, RunFailed, RunFinished, TextDelta
from app.messages import Usage

FINISHED = RunFinished("stop", Usage())
FAILED = RunFailed.of(UpstreamError("no"))


def log_of(*events: Event) -> EventLog:
    log = EventLog()
    for event in events:
        log.append(event)
    return log


def read(log: EventLog, position: int = 0) -> list[Event]:
    return [event for batch in log.follow(position) for event in batch]


A, B = TextDelta("a"), TextDelta("b")


def test_a_late_reader_gets_everything_in_one_batch():
    assert list(log_of(A, B, FINISHED).follow()) == [[A, B, FINISHED]]


@pytest.mark.parametrize(("position", "rest"), [(0, [A, B, FAILED]), (2, [FAILED]), (3, []), (99, [])])
def test_a_reader_may_begin_anywhere(position: int, rest: list[Event]):
    assert read(log_of(A, B, FAILED), position) == rest


@pytest.mark.parametrize("end", [FINISHED, FAILED])
@pytest.mark.parametrize("late", [A, FINISHED, FAILED])
def test_a_run_ends_once(end: RunFinished | RunFailed, late: Event):
    log = log_of(A, end)
    with pytest.raises(RuntimeError, match="after the run has ended"):
        log.append(late)
    assert log.end is end
    assert read(log) == [A, end]
    assert len(log) == 2


def test_it_has_no_end_before_its_end():
    assert log_of(A).end is None


def test_a_reader_that_waits_is_told_that_nothing_happens_and_then_what_does():
    log = log_of(A)
    batches = log.follow(wake_every=0.01)
    assert list(next(batches)) == [A]
    assert list(next(batches)) == []
    assert list(next(batches)) == []
    log.append(B)
    log.append(FINISHED)
    assert list(next(batches)) == [B, FINISHED]
    assert list(batches) == []


def test_a_batch_is_not_changed_by_what_comes_later():
    log = log_of(A)
    batch = next(log.follow())
    log.append(B)
    assert list(batch) == [A]


def test_readers_that_left_are_forgotten():
    log = log_of()
    for _ in range(50):
        batches = log.follow(wake_every=0.0001)
        next(batches)
        batches.close()  # type: ignore[attr-defined]
    assert log._readers == ()


def test_a_waiting_reader_is_woken_by_the_event_alone():
    log, batches = EventLog(), list[Sequence[Event]]()
    thread = threading.Thread(target=lambda: batches.extend(log.follow(wake_every=None)))
    thread.start()
    time.sleep(0.05)
    log.append(FINISHED)
    thread.join(30)
    assert not thread.is_alive()
    assert [list(batch) for batch in batches] == [[FINISHED]]


def test_many_readers_and_one_writer_in_threads():
    log, results = EventLog(), list[list[Event]]()
    events: list[Event] = [TextDelta(str(number)) for number in range(2000)]

    def reader(position: int, wake_every: float | None) -> None:
        results.append(
            events[:position] + [event for batch in log.follow(position, wake_every) for event in batch]
        )

    readers = [
        threading.Thread(target=reader, args=(number * 100, 0.0005 if number % 2 else None))
        for number in range(12)
    ]
    for thread in readers:
        thread.start()
    for event in (*events, FINISHED):
        log.append(event)
    for thread in readers:
        thread.join(30)
    assert results == [[*events, FINISHED]] * 12
