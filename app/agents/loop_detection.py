"""Notices when an agent goes round in circles (docs/agents.md#loops). Pure.

Counted over the whole run are

* identical calls: the same tool with the same arguments. Between other calls, one that brings something new
  starts its count again (tests are run again after each change); calls that poll, even in a row;
* two calls that take turns and bring nothing new;
* calls of tools that do not exist.

At `WARN` of them the model is told so, with the result; at `STOP` the calls are not made and the run ends.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence

from app.json_values import canonical
from app.messages import ToolCall

WARN = 10
STOP = 20
MAX_UNKNOWN = 10  # calls of tools that do not exist
POLLS = frozenset(
    {"process", "subagents", "session_status", "sessions_list", "sessions_history", "sessions_yield"}
)


class LoopDetector:
    """The calls of one run. `stop_before` is asked before a turn's calls are made, `warn_after` told each one
    with its result.
    """

    def __init__(self) -> None:
        self._counts: Counter[Hashable] = Counter()
        self._results: dict[Hashable, int] = {}  # the hash of the newest of each call
        self._made: list[Hashable] = []
        self._alternating = 0  # the newest calls that take turns
        self._unknown: Counter[str] = Counter()

    def stop_before(self, calls: Sequence[ToolCall]) -> str | None:
        """Why the calls should not be made; None if they may be."""
        coming: Counter[Hashable] = Counter()
        names: dict[Hashable, str] = {}
        for call in calls:
            key = _key(call)
            coming[key] += 1
            names[key] = call.name[:80]
        for key, count in coming.items():
            if self._counts[key] + count >= STOP:
                return f"`{names[key]}` was called with the same arguments {STOP} times."
        if self._alternating + 1 >= STOP and len(calls) == 1 and self._takes_turns(_key(calls[0])):
            return f"Two calls, the last one of `{calls[0].name[:80]}`, took turns {STOP} times."
        if self._unknown and (unknown := self._unknown.total()) >= MAX_UNKNOWN:
            return f"Tools that do not exist were called {unknown} times."
        return None

    def warn_after(self, call: ToolCall, result: str, *, exists: bool = True) -> str | None:
        """Count a call that was made. A note for the model, if it should think again."""
        key, digest = _key(call), hash(result)
        is_new = self._results.get(key, digest) != digest
        follows_itself = bool(self._made) and self._made[-1] == key
        self._alternating = self._alternating + 1 if self._takes_turns(key) and not is_new else 0
        starts_again = is_new and (call.name in POLLS or not follows_itself)
        self._counts[key] = 1 if starts_again else self._counts[key] + 1
        self._results[key] = digest
        self._made = [*self._made[-1:], key]
        if not exists:
            self._unknown[call.name] += 1
        return self._note(call, key)

    def _note(self, call: ToolCall, key: Hashable) -> str | None:
        if self._counts[key] == WARN:
            return (
                f"[This is call {WARN} of `{call.name}` with the same arguments in this run. Do something "
                f"else, or answer with what you have: before call {STOP} the run ends.]"
            )
        if self._alternating == WARN:
            return (
                "[The last calls take turns and bring nothing new. Do something else, or answer with what "
                "you have: soon the run ends.]"
            )
        return None

    def _takes_turns(self, key: Hashable) -> bool:
        """Whether the call is the one before the last, and the last is another."""
        return len(self._made) == 2 and self._made[0] == key != self._made[1]


def _key(call: ToolCall) -> Hashable:
    """The same for the same call, in whatever form its arguments are written."""
    return call.name, hash(canonical(call.arguments or "{}"))
