"""How a run's events lie in Redis.

`openclaw:run:<run id>` is a stream. Each entry has some events that follow each other, and the id
`<fence>-<sequence number of the first>`. Redis only takes an entry whose id is above the last one's: so one
that is sent twice is there once, and a worker that has lost a run to another one can add nothing any more.
The same bytes go to all who follow the run, on the channel `openclaw:events:<run id>`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from app.errors import LeaseLost
from app.events.types import Event, RunFailed

RUNNING_MS = 24 * 3600 * 1000  # how long a stream stays after its last entry
ENDED_MS = 3600 * 1000
FIELD = b"e"

# KEYS: the stream. ARGV: the entry's id · the lowest id to keep · how many events come before it · the entry
# · how long to keep the stream (ms) · the run's channel · the channel of new runs, or "" · what is said there
# Memory may be full; then nothing is said either, for who reads later would miss it.
ADD_SCRIPT = """
if ARGV[3] ~= '0' and redis.call('EXISTS', KEYS[1]) == 0 then return redis.error_reply('GONE') end
local added = redis.pcall('XADD', KEYS[1], 'MINID', ARGV[2], ARGV[1], 'e', ARGV[4])
if type(added) == 'table' and added.err then return added end
redis.call('PEXPIRE', KEYS[1], ARGV[5])
if ARGV[7] ~= '' then redis.call('PUBLISH', ARGV[7], ARGV[8]) end
return redis.call('PUBLISH', ARGV[6], ARGV[4])
"""

# KEYS: the stream. ARGV: the id that its last entry must have, or "" · the id of the new one · the entry
# · how long to keep the stream (ms).
FENCE_SCRIPT = """
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
local id = ''
if last[1] then id = last[1][1] end
if id ~= ARGV[1] then return 0 end
redis.call('XADD', KEYS[1], ARGV[2], 'e', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1
"""

# KEYS: the stream. ARGV: the id of its only entry from now on · the entry · how long to keep the stream (ms).
REPLACE_SCRIPT = """
redis.call('XTRIM', KEYS[1], 'MAXLEN', 0)
redis.call('XADD', KEYS[1], ARGV[1], 'e', ARGV[2])
return redis.call('PEXPIRE', KEYS[1], ARGV[3])
"""


class Entry(msgspec.Struct, array_like=True, frozen=True):
    """Events that follow each other, behind `position` earlier ones of the run.

    The first `base` events of the run are from before this fence. Without events it only says, in the stream,
    that nobody with a lower fence adds any; on the channel of new runs, that the run has ended.
    """

    fence: int
    base: int
    position: int
    worker: str
    run_id: str
    events: list[Event]

    @property
    def id(self) -> str:
        """Its id in the stream."""
        if not self.events:
            return fence_id(self.fence)
        return f"{self.fence}-{self.position + 1}"

    @property
    def end(self) -> int:
        """The sequence number of its last event."""
        return self.position + len(self.events)


dump_entry = msgspec.msgpack.Encoder().encode
_load = msgspec.msgpack.Decoder(Entry).decode


def load_entry(data: bytes) -> Entry:
    """The entry that `dump_entry` wrote. Raises ValueError for anything else."""
    try:
        return _load(data)
    except msgspec.MsgspecError as error:
        raise ValueError(f"not events of a run: {error}") from error


def load_reply(reply: Any) -> Sequence[Entry]:
    """The entries in the reply to XRANGE or XREVRANGE. Raises ValueError."""
    return [load_entry(fields[1]) for _id, fields in reply]


def fence_id(fence: int) -> str:
    """The id of the entry that keeps lower fences from adding more."""
    return f"{fence}-0"


def lost(why: str) -> RunFailed:
    """The last event for those who follow a run that will not have one for them."""
    return RunFailed.of(LeaseLost(f"{why} Ask for the run by its id, or again.", retry_after=1.0))
