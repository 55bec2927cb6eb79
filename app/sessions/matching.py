"""Which messages match, and where one sequence of them occurs in another. Pure.

Messages become numbers first, the same number for messages that match. Sequences of numbers are then searched
in one pass, however long they are: comparing every position with every other would take seconds for the long
conversations that agents have.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence

from app.json_values import canonical
from app.messages import Message

UNKNOWN = -1  # a message of the request that is not stored


class Numbering:
    """Numbers for messages, from 0 for the first stored one.

    Clients change messages a little, and they still match: white space around the text, line ends, the form
    of a call's JSON, a missing id of a call. Of an answer that was cut short, a client may have a longer or
    shorter beginning, so its number depends on the message before it, too. For example:

        stored      user "hi"    assistant "hello"     user "hi"     assistant "good mor" (cut short)
        numbers     0            1                     0             2
        incoming    user "hi "   assistant "hello "    user "hi"     assistant "good morning"    user "new"
        numbers     0            1                     0             2                           -1 (UNKNOWN)
    """

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}
        # Text and number of each, by the number of the message it answers.
        self._cut_answers: dict[int, list[tuple[str, int]]] = defaultdict(list)

    def stored(self, messages: Iterable[tuple[Message, bool]]) -> list[int]:
        """The numbers of stored messages. Each one's flag says whether it is an answer that was cut short."""
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
        """The numbers of a request's messages; UNKNOWN for those that match no stored one."""
        row: list[int] = []
        for message in messages:
            number = self._numbers.get(_key(message), UNKNOWN)
            if number == UNKNOWN and message.role == "assistant" and not message.tool_calls:
                number = self._cut_answer(_plain_text(message), row)
            row.append(number)
        return row

    def _cut_answer(self, text: str, before: Sequence[int]) -> int:
        if not before:  # the first message of the request: we cannot know what it answers
            candidates = [answer for answers in self._cut_answers.values() for answer in answers]
        else:
            candidates = self._cut_answers.get(before[-1], [])
        for known, number in candidates:
            if text.startswith(known) or known.startswith(text):
                return number
        return UNKNOWN


def is_blank(message: Message) -> bool:
    """Whether it is an answer without any content, which clients may keep or drop."""
    return message.role == "assistant" and not (
        message.tool_calls or message.images or message.refusal or message.text.strip()
    )


def shared_start(one: Sequence[int], other: Sequence[int]) -> int:
    """How many numbers both sequences have in common at their start."""
    for position, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return position
    return min(len(one), len(other))


def overlap(row: Sequence[int], other: Sequence[int]) -> int:
    """How long a start of `row` is the end of `other`, at most: `overlap([3, 4, 9], [1, 3, 4])` is 2."""
    return _scan(row, other)[0]


def last_end(row: Sequence[int], other: Sequence[int]) -> int | None:
    """The position in `other` behind the last occurrence of all of `row`: `last_end([1, 2], [1, 2, 7])` is 2.

    None if `row` does not occur.
    """
    return _scan(row, other)[1]


def _scan(row: Sequence[int], other: Sequence[int]) -> tuple[int, int | None]:
    """`overlap` and `last_end` in one pass: the search of Knuth, Morris and Pratt.

    `matched` is how much of `row` ends at the present position of `other`. When the next number does not fit,
    the row is not tried again from each later position, but from the longest shorter start of it that ends
    here, too; `_fallbacks` says which that is. With row 1 2 1 3 in 1 2 1 2 1 3:

        other        1  2  1  2  1  3
        matched      1  2  3  2  3  4      at the second 2: 1 2 1 does not go on with 2, but its end 1 does
    """
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
    """For each position of `row`: how long the longest start of it is that ends there but began later."""
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
    calls = tuple(
        (call.name, canonical(call.arguments), call.id if call_ids else "") for call in message.tool_calls
    )
    return message.role, _plain_text(message), message.images, calls, message.tool_call_id


def _plain_text(message: Message) -> str:
    return (message.text or message.refusal or "").replace("\r\n", "\n").strip()
