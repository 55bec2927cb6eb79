"""A run's stop signal reaches whoever does something slow, at once and with its reason."""

from __future__ import annotations

import threading
import time

import pytest

from app.cancel import Cancel
from app.errors import Draining, RunAborted

STOP, LATER = RunAborted("stop"), Draining("later")


def stopped() -> Cancel:
    cancel = Cancel()
    cancel.cancel(STOP)
    return cancel


def test_the_first_reason_counts():
    cancel = Cancel()
    assert not cancel.cancelled
    cancel.check()
    assert cancel.cancel(STOP) is True
    assert cancel.cancel(LATER) is False
    assert cancel.cancelled
    with pytest.raises(RunAborted) as caught:
        cancel.check()
    assert caught.value is STOP


def test_a_block_that_was_woken_raises_the_reason_though_it_ended_well():
    cancel, woken = Cancel(), list[str]()
    with pytest.raises(RunAborted), cancel.waking(lambda: woken.append("a")):  # noqa: PT012
        with cancel.waking(lambda: woken.append("b")):
            pass
        cancel.cancel(STOP)
        assert woken == ["a"]


def test_what_the_interruption_caused_is_replaced_by_the_reason():
    cancel = Cancel()
    with pytest.raises(RunAborted), cancel.waking(lambda: None):  # noqa: PT012
        cancel.cancel(STOP)
        raise OSError("closed under my feet")


def test_other_failures_stay_as_they_are():
    cancel = Cancel()
    with pytest.raises(OSError, match="mine"), cancel.waking(lambda: None):
        raise OSError("mine")
    cancel.check()


def test_nothing_slow_begins_once_the_run_is_stopped():
    with pytest.raises(RunAborted), stopped().waking(lambda: None):
        pytest.fail("the block was entered")


def test_nobody_is_woken_after_the_block():
    cancel, woken = Cancel(), list[int]()
    for _ in range(3):
        with cancel.waking(lambda: woken.append(1)):
            pass
    cancel.cancel(STOP)
    assert woken == []


def test_a_pause_takes_its_time():
    start = time.monotonic()
    Cancel().sleep(0.03)
    assert time.monotonic() - start >= 0.03


@pytest.mark.parametrize("after", [0.0, 0.03])
def test_a_pause_ends_at_once_when_the_run_is_stopped(after: float):
    cancel = Cancel()
    timer = threading.Timer(after, cancel.cancel, [STOP])
    timer.start()
    start = time.monotonic()
    with pytest.raises(RunAborted):
        cancel.sleep(60)
    assert time.monotonic() - start < 30
    timer.join()


def test_all_who_wait_are_woken():
    cancel, errors = Cancel(), list[BaseException]()

    def wait() -> None:
        try:
            cancel.sleep(10)
        except RunAborted as error:
            errors.append(error)

    threads = [threading.Thread(target=wait) for _ in range(20)]
    for thread in threads:
        thread.start()
    cancel.cancel(STOP)
    for thread in threads:
        thread.join(30)
    assert errors == [STOP] * 20


def test_one_of_many_who_stop_a_run_is_the_first():
    cancel, firsts = Cancel(), list[bool]()
    threads = [threading.Thread(target=lambda: firsts.append(cancel.cancel(STOP))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(firsts) == [False] * 19 + [True]
