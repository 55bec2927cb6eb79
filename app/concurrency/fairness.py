"""Lets the event loop turn while one connection has more and more to read.

gevent switches to another greenlet only where a call has to wait, and reading from a socket does not wait as
long as data is there. So a peer that sends without a pause would keep its reader busy, and the whole worker
silent, for as long as it likes. Every loop that reads what comes from outside therefore calls `give_way` once
for each piece, after it has the piece and before it works on it.
"""

from __future__ import annotations

from time import monotonic

import gevent
from gevent import get_hub, getcurrent

from app.concurrency.background import is_patched

MAX_SLICE = 0.005  # seconds that one greenlet works without letting the loop turn
MAX_TURN = 0.05  # seconds that all of them may take in one turn of the loop
MAX_WAIT = 1.0  # seconds that one greenlet waits while others take up each turn
# Above that of sockets and timers, so that a waiting greenlet goes on after one turn, however busy the loop
# is. At their own priority it would wait until the loop had nothing else to do.
PRIORITY = 1


class _Turn:
    """The present turn of the loop, as far as `give_way` has seen it."""

    number = -1
    began_at = 0.0  # on the monotonic clock
    caller = 0  # the greenlet that has called last, by its `id`


def give_way() -> None:
    """Let the event loop turn once, if the caller has kept it from turning for some milliseconds.

    Nearly free otherwise, so it may be called for each piece that is read. A greenlet that has just waited,
    calls once, and waits again, as that of an ordinary connection does, goes on at once unless the turn is
    very long. Does nothing in a process of threads. Must not be called in the loop's own callbacks.

    `gevent.sleep(0)` would not do: the loop runs up to fifty such callbacks, one after the other, before it
    looks at the sockets again.
    """
    if monotonic() - _Turn.began_at < MAX_SLICE or not is_patched():
        return
    # All that wait go on in the next turn, one after the other, so each looks again whether it is over. But
    # with a thousand streams a turn takes long by itself, and those that come late must not wait for many.
    patience = monotonic() + MAX_WAIT
    while _is_over() and monotonic() < patience:
        gevent.idle(PRIORITY)


def _is_over() -> bool:
    """Whether the turn has been long enough for the calling greenlet."""
    now = monotonic()
    # A turn is identified by libev's count of them: its time, `loop.now`, also moves when a timer is started.
    number = get_hub().loop.iteration
    caller = id(getcurrent())
    if number != _Turn.number:
        _Turn.number, _Turn.began_at, _Turn.caller = number, now, caller
        return False
    limit = MAX_SLICE if caller == _Turn.caller else MAX_TURN
    _Turn.caller = caller
    return now - _Turn.began_at > limit
