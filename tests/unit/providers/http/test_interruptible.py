"""Cancelling a run interrupts what it waits for on the network, and nothing that it does afterwards."""

from __future__ import annotations

import gevent
import gevent.socket
import pytest

from app.cancel import Cancel
from app.errors import RunAborted
from app.providers.http.transport import interruptible


def test_cancelling_interrupts_a_read_with_the_reason():
    cancel = Cancel()
    ours, theirs = gevent.socket.socketpair()
    with ours, theirs:
        gevent.spawn_later(0.01, cancel.cancel, RunAborted("stopped"))
        with pytest.raises(RunAborted, match="stopped"), interruptible(cancel):
            ours.recv(1)


def test_a_cancelled_run_does_not_begin_to_wait():
    cancel = Cancel()
    cancel.cancel(RunAborted("stopped"))
    with pytest.raises(RunAborted), interruptible(cancel):
        raise AssertionError("not reached")


def test_cancelling_as_the_block_ends_does_not_throw_into_what_comes_next():
    cancel = Cancel()
    with pytest.raises(RunAborted), interruptible(cancel):
        cancel.cancel(RunAborted("stopped"))
    gevent.sleep(0.01)  # an exception that was not taken back would be raised here


def test_cancelling_after_the_block_does_nothing():
    cancel = Cancel()
    with interruptible(cancel):
        pass
    cancel.cancel(RunAborted("stopped"))
    gevent.sleep(0.01)
