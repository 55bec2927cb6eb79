"""Tool calls put together from the fragments that servers send.

As OpenAI documents it, a call's first fragment has its index, id and name, the others its index and a part of
its arguments. Servers differ from that in all of these:

* An index is missing, is text, or is the same (nearly always 0) for several calls.
* An id is missing, comes late, is repeated in every fragment, or is another one in every fragment.
* A name comes late, in several pieces, or is repeated in every fragment.
* Whole calls come instead of fragments, again after their fragments, or with their arguments as an object.

Which call a fragment belongs to (`_find`): by its index if it has one; else by its id; else a new name begins
a call and everything else belongs to the last one. A fragment that would belong to a call but cannot be a
part of it begins another (`_begins_another`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from app.errors import UpstreamError
from app.events.types import FinishReason, ToolCallDelta
from app.messages import Extra, json_size
from app.providers.http.lenient_json import without_surrogates
from app.providers.openai_chat.extras import read_call_extras
from app.providers.openai_chat.partial_call import PartialCall

MAX_INDEX = 1000  # that a server may choose; a larger one is replaced
MAX_HELD_BYTES = 4 * 1024 * 1024  # of all fragments that no event has told of yet
FRAGMENT_BYTES = 500  # memory that one of these takes besides its text


class Fragment:
    """A piece of a call, with what it has: an index, an id, a name, arguments as text.

    `extra` is what the provider wants back with the call.
    """

    def __init__(self, raw: dict[str, Any]) -> None:
        function = raw.get("function")
        fields: dict[str, Any] = function if isinstance(function, dict) else raw
        self.index = _index(raw.get("index"))
        call_id = _text(raw.get("id"))
        self.id = call_id if call_id not in ("", "null", "None") else None  # Mistral's later fragments
        self.name = _text(fields.get("name"))
        self.arguments = _arguments(fields["arguments"] if "arguments" in fields else _renamed(fields))
        self.extra = read_call_extras(raw)


class ToolCallReader:
    """The calls of one answer."""

    def __init__(self, provider: str | None = None) -> None:
        self._provider = provider
        self._calls: list[PartialCall] = []
        self._by_index: dict[int, PartialCall] = {}  # an index as given -> the call that had it last
        self._by_id: dict[str, PartialCall] = {}
        self._used: set[int] = set()  # the indexes of our events
        self._highest = -1  # none of them is larger
        self._held = 0  # bytes

    def read(self, raw_calls: Sequence[dict[str, Any]]) -> list[ToolCallDelta]:
        """The events of the calls, or fragments of calls, of one chunk.

        Raises UpstreamError when more has to be held back than MAX_HELD_BYTES.
        """
        if len(raw_calls) == 1 and (event := self._read_arguments(raw_calls[0])) is not None:
            return [event]
        events: list[ToolCallDelta] = []
        in_chunk: set[PartialCall] = set()
        for position, raw in enumerate(raw_calls):
            fragment = Fragment(raw)
            key = fragment.index
            if key is None and fragment.id is None and len(raw_calls) > 1:
                key = position
            call = self._find(fragment, key)
            if call is None or self._begins_another(fragment, call, in_chunk):
                if self._calls:
                    events += self._with_extra(self._calls[-1], self._calls[-1].release())
                call = self._begin(fragment)
            in_chunk.add(call)
            if key is not None:
                self._by_index[key] = call
            if call.id is None and fragment.id is not None:
                self._by_id[fragment.id] = call
            call.extra |= fragment.extra
            events += self._with_extra(call, call.add(fragment.id, fragment.name, fragment.arguments))
            if not call.announced and not call.is_placeholder:
                self._hold(fragment)
        return events

    def _read_arguments(self, raw: dict[str, Any]) -> ToolCallDelta | None:
        """The event of the usual fragment, a known index and a piece of arguments; None for any other."""
        function, index = raw.get("function"), raw.get("index")
        if raw.get("id") or type(function) is not dict or type(index) is not int or function.get("name"):
            return None
        call, arguments = self._by_index.get(index), function.get("arguments")
        return call.add_arguments(arguments) if call is not None and type(arguments) is str else None

    def end(self, reason: FinishReason) -> list[ToolCallDelta]:
        """The events that were held back. Raises UpstreamError if a call has no name."""
        is_whole = reason in ("stop", "tool_calls")
        return [event for call in self._calls for event in self._with_extra(call, call.end(is_whole))]

    def _with_extra(self, call: PartialCall, events: list[ToolCallDelta]) -> list[ToolCallDelta]:
        """The events of a call with what its provider wants back, unless the call is held back still."""
        if not call.extra or not (events or call.announced):
            return events
        extra, call.extra = Extra(call.extra, self._provider), {}
        first = events[0] if events else ToolCallDelta(call.index)
        return [replace(first, extra=extra), *events[1:]]

    def _find(self, fragment: Fragment, key: int | None) -> PartialCall | None:
        """The call that a fragment belongs to, unless it begins another; None if it begins one for certain.

        `key` is its index, or else its place in the chunk, which counts only for a fragment without a name.
        """
        known = self._by_id.get(fragment.id) if fragment.id is not None else None
        last = self._calls[-1] if self._calls else None
        if key is not None and (fragment.index is not None or not fragment.name):
            if known is not None and known.given_index in (key, None):
                return known
            found = self._by_index.get(key)
            if found is not None or fragment.name:
                return found
            return known or (last if last is not None and last.given_index is None else None)
        if known is not None or last is None or fragment.id is None or last.id is None:
            return known or last
        return None if fragment.name or last.is_complete else last  # its id may be another one each time

    def _begins_another(self, fragment: Fragment, call: PartialCall, in_chunk: set[PartialCall]) -> bool:
        """Whether a fragment that seems to belong to `call` is the first one of another call.

        `in_chunk` are the calls of this chunk so far.
        """
        other_id = fragment.id is not None and call.id is not None and fragment.id != call.id
        if not fragment.name or not call.name:
            if other_id and not fragment.arguments and call.is_complete:
                call.next_id = fragment.id  # the first of another call only if a name follows
                return False
            return other_id and call.is_complete
        if call.next_id is not None:
            fragment.id = fragment.id or call.next_id
            return True
        same_name = fragment.name == call.name
        if other_id:
            return not same_name or call.is_complete
        has_key = fragment.index is not None or fragment.id is not None
        if not has_key and call.id is not None and call.is_blank and call not in in_chunk:
            return False  # the next piece of a name: another call would have an id, too
        if not has_key and (call in in_chunk or not same_name):
            return True
        if not call.is_complete or (same_name and not fragment.arguments.strip()):
            return False
        is_repetition = same_name and fragment.arguments == call.arguments
        return not is_repetition or not has_key or (fragment.id is None and call in in_chunk)

    def _begin(self, fragment: Fragment) -> PartialCall:
        """A new call, at the index it was given unless another one has that already."""
        given = fragment.index
        index = given if given is not None and 0 <= given <= MAX_INDEX else self._highest + 1
        if index in self._used:
            index = self._highest + 1
        self._highest = max(self._highest, index)
        self._used.add(index)
        call = PartialCall(index, given)
        self._calls.append(call)
        if fragment.id in self._by_id:
            fragment.id = None  # of another call: with one id for both, their results could not be told apart
        return call

    def _hold(self, fragment: Fragment) -> None:
        self._held += FRAGMENT_BYTES + len(fragment.id or "") + len(fragment.name) + len(fragment.arguments)
        self._held += (json_size(fragment.extra) or 0) if fragment.extra else 0
        if self._held > MAX_HELD_BYTES:
            raise UpstreamError("The provider sent too many tool calls without a name or arguments.")


def find_calls(fields: dict[str, Any]) -> list[dict[str, Any]]:
    """The calls, or fragments of calls, that a delta or a message has."""
    calls = fields.get("tool_calls")
    if isinstance(calls, dict) and ("function" in calls or "name" in calls):
        return [calls]
    found = [one for one in calls if isinstance(one, dict)] if isinstance(calls, list) else []
    if not found and isinstance(function := fields.get("function_call"), dict):
        return [{"index": 0, "function": function}]  # as it was before there were `tool_calls`
    return found


def _renamed(fields: dict[str, Any]) -> object:
    """A call's arguments under the names that Llama's models and Anthropic have for them."""
    return fields.get("parameters", fields.get("input"))


def _index(value: object) -> int | None:
    """An index, which some servers send as text; None if there is none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return int(value) if isinstance(value, str) and value.isdecimal() and len(value) < 10 else None


def _text(value: object) -> str:
    return str(without_surrogates(value)) if isinstance(value, str) else ""


def _arguments(value: object) -> str:
    """Arguments as text; some servers send them as the object itself."""
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(without_surrogates(value), ensure_ascii=False, separators=(",", ":"))
