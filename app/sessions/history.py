"""What of a request is new, when its caller resends the conversation, or the end of it, or nothing. Pure.

Every answer keeps a beginning of the stored conversation, replaces the rest of it (mostly nothing), and
adds an end of the request.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from app.messages import Message
from app.sessions.matching import Numbering, is_blank, last_end, overlap, shared_start

RunState = Literal["running", "finished", "aborted", "failed", "interrupted"]
MessageState = Literal["complete", "partial"]


class StoredMessage(NamedTuple):
    """A message and its place in the session. `partial`: an answer that was cut short."""

    id: int
    run_number: int
    message: Message
    state: MessageState = "complete"
    run_state: RunState = "finished"

    @property
    def may_be_missing(self) -> bool:
        """Whether clients that resend everything may leave it out: many do with cut and empty answers."""
        return self.state == "partial" or is_blank(self.message)


@dataclass(frozen=True, slots=True)
class Reconciled:
    """The model is told the `kept` stored messages, then the `new` ones. `kept` and `replaced` are ids."""

    kept: tuple[int, ...]
    replaced: tuple[int, ...]
    new: tuple[Message, ...]


def reconcile(stored: Sequence[StoredMessage], incoming: Sequence[Message]) -> Reconciled:
    """`incoming` has no system messages; its last message is always new."""
    ids = tuple(one.id for one in stored)
    if len(incoming) == 1 and (not stored or stored[-1].run_state == "finished"):
        return Reconciled(ids, (), tuple(incoming))  # nothing is resent, and nothing was asked in vain
    incoming = [*(message for message in incoming[:-1] if not is_blank(message)), *incoming[-1:]]
    keep, repeated = _Comparison(stored, incoming).split()
    return Reconciled(ids[:keep], ids[keep:], tuple(incoming[repeated:]))


class _Comparison:
    """A stored conversation beside a request.

    `_earlier` is how much of the request comes before what is new for certain, `_seen` the numbers of the
    stored messages that the client should have, and `_places` where in the conversation those are.
    """

    def __init__(self, stored: Sequence[StoredMessage], incoming: Sequence[Message]) -> None:
        numbering = Numbering()
        self._stored, self._incoming = stored, incoming
        self._ours = numbering.stored((one.message, one.state == "partial") for one in stored)
        self._theirs = numbering.incoming(incoming)
        self._earlier = self._theirs[: _start_of_newest(incoming)]
        resent = set(self._earlier)
        self._places = [
            place for place, one in enumerate(stored) if not one.may_be_missing or self._ours[place] in resent
        ]
        self._seen = [self._ours[place] for place in self._places]

    def split(self) -> tuple[int, int]:
        """How many stored messages to keep, and how many of the request are repetitions of them."""
        if _any_answer(self._incoming[: len(self._earlier)]):
            return self._with_answers()
        return self._without_answers()

    def _with_answers(self) -> tuple[int, int]:
        """The request holds answers: its caller resends what was said."""
        earlier = len(self._earlier)
        same = shared_start(self._seen, self._earlier)
        if same == earlier:  # the conversation up to here; behind it an edit, a regeneration or nothing
            return self._keep(same, same), same
        seam = overlap(self._earlier, self._seen)
        said_since = any(message.role == "assistant" for message in self._incoming[seam:earlier])
        if _any_answer(self._incoming[:seam]) and not said_since:
            return len(self._stored), seam  # the end of the conversation, and more questions or results
        end = last_end(self._earlier, self._seen)
        if end is not None:  # a piece out of the middle: an edit by a client that sends the newest only
            return self._keep(end, earlier), earlier
        return self._keep(same, same), same  # another conversation: the request wins where they part

    def _without_answers(self) -> tuple[int, int]:
        """Only questions: nothing shows that the caller resends what was said, unless they are the same."""
        questions, same = len(self._earlier), shared_start(self._seen, self._earlier)
        if questions and same == questions and not self._is_answer(same):
            return self._keep(same, same), same  # questions that were never answered
        if questions and self._earlier == self._numbers_asked(self._places):
            return len(self._stored), questions  # a client that keeps its own side only
        return self._before_retry(), 0

    def _before_retry(self) -> int:
        """Up to the questions that got no whole answer and are asked again by the request's beginning."""
        asked = self._asked_in_vain()
        again = overlap(self._theirs, [self._ours[place] for place in asked])
        return asked[-again] if again else len(self._stored)

    def _asked_in_vain(self) -> list[int]:
        """Where the questions are that the last runs, none of which was finished, should have answered."""
        first = len(self._stored)
        while first and self._stored[first - 1].run_state != "finished":
            first -= 1
        asked, answered = [], None
        for place in range(first, len(self._stored)):
            if self._stored[place].message.role == "assistant":
                answered = self._stored[place].run_number
            elif self._stored[place].run_number != answered:
                asked.append(place)
        return asked

    def _keep(self, same: int, repeated: int) -> int:
        """The stored messages up to the last of the `same` first ones that were seen.

        A cut answer behind them stays if the request goes on with a question, and gives way to an answer.
        """
        if self._incoming[repeated].role == "user":
            return self._places[same] if same < len(self._places) else len(self._stored)
        return self._places[same - 1] + 1 if same else 0

    def _is_answer(self, seen: int) -> bool:
        return seen < len(self._places) and _any_answer([self._stored[self._places[seen]].message])

    def _numbers_asked(self, places: Sequence[int]) -> list[int]:
        return [self._ours[place] for place in places if self._stored[place].message.role == "user"]


def _any_answer(messages: Sequence[Message]) -> bool:
    return any(message.role in ("assistant", "tool") for message in messages)


def _start_of_newest(incoming: Sequence[Message]) -> int:
    """Where the part begins that is new for certain: the last message, or all results of one tool turn."""
    start = len(incoming) - 1
    while start > 0 and incoming[start].role == "tool" and incoming[start - 1].role == "tool":
        start -= 1
    return start
