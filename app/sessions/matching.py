"""Which messages are the same, and where a row of them occurs in another. Pure.

Messages become numbers first, the same for the same message, so that a row of them is compared in one
pass however long it is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence

import orjson

from app.messages import Message, ToolCall

UNKNOWN = -1  # a message of the request that is not stored


class Numbering:
    """Numbers for the stored messages. A client may trim text, and may have seen more or less of an
    answer that was cut short."""

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}
        self._cut_answers: dict[int, list[tuple[str, int]]] = defaultdict(list)  # by what they answer

    def stored(self, messages: Iterable[tuple[Message, bool]]) -> list[int]:
        """The numbers of stored messages; the flag says that one is an answer cut short."""
        row: list[int] = []
        for message, is_cut in messages:
            number = self._numbers.setdefault(_key(message), len(self._numbers))
            if message.tool_calls:
                self._numbers.setdefault(_key(message, call_ids=False), number)
            if is_cut and not is_blank(message):
                self._cut_answers[row[-1] if row else UNKNOWN].append((_plain_text(message), number))
            row.append(number)
        return row

    def incoming(self, messages: Iterable[Message]) -> list[int]:
        """The numbers of a request's messages."""
        row: list[int] = []
        for message in messages:
            number = self._numbers.get(_key(message), UNKNOWN)
            if number == UNKNOWN and message.role == "assistant" and not message.tool_calls:
                number = self._cut_answer(_plain_text(message), row)
            row.append(number)
        return row

    def _cut_answer(self, text: str, before: Sequence[int]) -> int:
        if not before:  # the request begins with it: what it answers is not known
            candidates = [answer for answers in self._cut_answers.values() for answer in answers]
        else:
            candidates = self._cut_answers.get(before[-1], [])
        for known, number in candidates:
            if text.startswith(known) or known.startswith(text):
                return number
        return UNKNOWN


def is_blank(message: Message) -> bool:
    """An answer without anything in it; clients keep those or drop them as they please."""
    return message.role == "assistant" and not (message.tool_calls or message.images or message.text.strip())


def shared_start(one: Sequence[int], other: Sequence[int]) -> int:
    """How many numbers both rows begin with."""
    for position, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return position
    return min(len(one), len(other))


def overlap(row: Sequence[int], other: Sequence[int]) -> int:
    """The most numbers that `other` ends with and `row` begins with."""
    return _scan(row, other)[0]


def last_end(row: Sequence[int], other: Sequence[int]) -> int | None:
    """Where in `other` the last occurrence of the whole `row` ends."""
    return _scan(row, other)[1]


def _scan(row: Sequence[int], other: Sequence[int]) -> tuple[int, int | None]:
    # Knuth, Morris and Pratt: `matched` is how much of the row ends at the present position.
    back = _fallbacks(row)
    matched, end = 0, None
    for position, number in enumerate(other):
        while matched and (matched == len(row) or row[matched] != number):
            matched = back[matched - 1]
        if row and row[matched] == number:
            matched += 1
        if row and matched == len(row):
            end = position + 1
    return matched, end


def _fallbacks(row: Sequence[int]) -> list[int]:
    back = [0] * len(row)
    matched = 0
    for position in range(1, len(row)):
        while matched and row[matched] != row[position]:
            matched = back[matched - 1]
        if row[matched] == row[position]:
            matched += 1
        back[position] = matched
    return back


def _key(message: Message, *, call_ids: bool = True) -> Hashable:
    calls = tuple((call.name, _arguments(call), call.id if call_ids else "") for call in message.tool_calls)
    return message.role, _plain_text(message), message.images, calls, message.tool_call_id


def _plain_text(message: Message) -> str:
    return message.text.replace("\r\n", "\n").strip()


def _arguments(call: ToolCall) -> bytes:
    try:
        return orjson.dumps(orjson.loads(call.arguments), option=orjson.OPT_SORT_KEYS)
    except orjson.JSONDecodeError:
        return call.arguments.encode()
