"""So many of something at a time, counted by Redis over all workers.

A slot is a member of a sorted set, with the time until which it is held as its score: `openclaw:slots:main`
{run_7f…: 12:00:15, run_3a…: 12:00:18}. Its holder renews it; that of a dead worker runs out. The clock is
Redis's own.
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import suppress

from app.cluster.base import Stop
from app.cluster.link import RedisLink
from app.errors import ClusterUnavailable

HELD_SECONDS = 15.0
RENEW_SECONDS = 4.0

_TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
"""
_RENEW = """
local time = redis.call('TIME')
local until_ms = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[1]
for place = 2, #ARGV do redis.call('ZADD', KEYS[1], until_ms, ARGV[place]) end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
"""


class RedisSlots:
    """Implements `Slots`."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link
        self._held: dict[str, set[str]] = defaultdict(set)  # name -> holders

    def take(self, name: str, limit: int, holder: str) -> bool:
        """See `Slots.take`."""
        held = int(HELD_SECONDS * 1000)
        if not self._link.ask("EVAL", _TAKE, 1, self._key(name), holder, limit, held):
            return False
        self._held[name].add(holder)
        return True

    def give_back(self, name: str, holder: str) -> None:
        """See `Slots.give_back`."""
        self._held[name].discard(holder)
        self._link.ask("ZREM", self._key(name), holder)

    def run(self, stop: Stop) -> None:
        """Renew what is held here until `stop` is set. For a greenlet of its own."""
        while not stop.wait(RENEW_SECONDS):
            with suppress(ClusterUnavailable):  # Redis may know them again when it is back
                self._renew()

    def _renew(self) -> None:
        for name, holders in list(self._held.items()):
            if holders:
                held = int(HELD_SECONDS * 1000)
                self._link.ask("EVAL", _RENEW, 1, self._key(name), held, *holders)
            else:
                del self._held[name]

    def _key(self, name: str) -> bytes:
        return self._link.name("slots", name)
