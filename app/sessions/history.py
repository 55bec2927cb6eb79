"""Which messages of a request are new, if its caller resends the conversation, its end, or nothing. Pure.

Chat clients resend everything, some only the newest messages, some only the last one; users edit a question
and regenerate an answer; requests fail and are sent again. From the stored conversation and the request's
messages `reconcile` finds out which of these it was. Every result keeps a start of the stored conversation,
replaces the rest of it (mostly nothing), and adds an end of the request. If `Q1 A1 Q2 A2` is stored:

    the request        is                                     kept           replaced       new
    Q3                 the newest message only                Q1 A1 Q2 A2                   Q3
    Q1 A1 Q2 A2 Q3     everything resent                      Q1 A1 Q2 A2                   Q3
    A2 Q3              a window of the newest messages        Q1 A1 Q2 A2                   Q3
    Q1 Q2 Q3           questions only, without the answers    Q1 A1 Q2 A2                   Q3
    Q1 A1 Q2           a regeneration of the last answer      Q1 A1          Q2 A2          Q2
    Q1 A1 X            an edit of the second question         Q1 A1          Q2 A2          X
    X Y Z (Y answers)  another conversation                                  Q1 A1 Q2 A2    X Y Z

and if `Q1 A1 Q2` is stored, and the last run failed without an answer:

    Q2                 the failed question, asked again       Q1 A1          Q2             Q2

An answer here is one message: of an agent that took several steps to it, what callers have of them
(`app.sessions.stored`). Messages are compared as numbers (`app.sessions.matching`), which forgives what
clients change in them.
Answers that were cut short, or are empty, may be missing from what a client resends: many drop them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.messages import Message
from app.sessions.matching import Numbering, is_blank, last_end, overlap, shared_start
from app.sessions.stored import StoredMessage, as_answered


@dataclass(frozen=True, slots=True)
class Reconciled:
    """The model sees the `kept` stored messages, then the `new` ones. `kept` and `replaced` are ids."""

    kept: tuple[int, ...]
    replaced: tuple[int, ...]
    new: tuple[Message, ...]


def reconcile(stored: Sequence[StoredMessage], incoming: Sequence[Message]) -> Reconciled:
    """What to keep, to replace and to add (see above), in time linear in the number of messages.

    `incoming` has no system messages, and its last message is always new. `stored` are the messages of the
    earlier runs, oldest first.
    """
    ids = tuple(one.id for one in stored)
    if len(incoming) == 1 and (not stored or stored[-1].run_state == "finished"):
        return Reconciled(ids, (), tuple(incoming))  # nothing is resent, no failed question is repeated
    incoming = [*(message for message in incoming[:-1] if not is_blank(message)), *incoming[-1:]]
    answered, ends = as_answered(stored)
    same, repeated = max(one.split() for one in _comparisons(answered, incoming))
    keep = ends[same - 1] if same else 0
    return Reconciled(ids[:keep], ids[keep:], tuple(incoming[repeated:]))


def _comparisons(stored: Sequence[StoredMessage], incoming: Sequence[Message]) -> Iterator[_Comparison]:
    """The ways to compare them, of which that one is right which finds more that is known.

    There are two if an answer that was cut short reads like a whole one ("Let me look."), and the request has
    it: it may be either.
    """
    first = _Comparison(stored, incoming)
    yield first
    if first.has_ambiguous:
        yield _Comparison(stored, incoming, counts_ambiguous=False)


class _Comparison:
    """A stored conversation beside a request, both as numbers.

    `_resent` are those of the request's messages before the ones that are certainly new. `_visible` are those
    of the stored messages that the client should have, and `_places` their places in the stored conversation:
    an answer that was cut short counts only if the request has it, too.

    Example. Stored are `Q1 A1- Q2 A2` (A1 was cut short), the request is `Q1 Q2 A2 Q3`:

        numbers of stored     Q1=0  A1-=1  Q2=2  A2=3
        numbers of request    0 2 3 -1           (-1: not stored)
        _resent               0 2 3              (Q3 is new)
        _visible, _places     0 2 3, at 0 2 3    (the client has dropped A1-)

    `_resent` is the start of `_visible`, all of it: four stored messages are kept, three of the request's are
    known, and Q3 is new.
    """

    def __init__(
        self,
        stored: Sequence[StoredMessage],
        incoming: Sequence[Message],
        *,
        counts_ambiguous: bool = True,
    ) -> None:
        numbering = Numbering()
        self._stored, self._incoming = stored, incoming
        self._stored_numbers = numbering.stored((one.message, one.state == "partial") for one in stored)
        self._numbers = numbering.incoming(incoming)
        self._resent = self._numbers[: _start_of_newest(incoming)]
        in_request = set(self._resent)
        missing = {place for place, one in enumerate(stored) if one.may_be_missing}
        whole: set[int] = set()  # numbers of messages that were not cut short, if that is of interest
        if missing:
            whole = {number for place, number in enumerate(self._stored_numbers) if place not in missing}
        known = in_request & whole
        self.has_ambiguous = any(self._stored_numbers[place] in known for place in missing)
        counted = in_request if counts_ambiguous else in_request - whole
        self._places = [
            place
            for place, number in enumerate(self._stored_numbers)
            if place not in missing or number in counted
        ]
        self._visible = [self._stored_numbers[place] for place in self._places]

    def split(self) -> tuple[int, int]:
        """How many stored messages to keep, and how many of the request's first messages are among those."""
        if _any_answer(self._incoming[: len(self._resent)]):
            return self._with_answers()
        return self._without_answers()

    def _with_answers(self) -> tuple[int, int]:
        """The request holds answers: its caller resends the conversation, or a window of it."""
        resent = len(self._resent)
        same = shared_start(self._visible, self._resent)
        if same == resent:  # the conversation from its start: all of it, or up to an edit or a regeneration
            return self._keep(same, same), same
        known = overlap(self._resent, self._visible)
        answered_since = any(message.role == "assistant" for message in self._incoming[known:resent])
        if _any_answer(self._incoming[:known]) and not answered_since:
            return len(self._stored), known  # a window: the end of the conversation, then new messages
        end = last_end(self._resent, self._visible)
        if end is not None:  # a window that ends earlier: an edit or a regeneration
            return self._keep(end, resent), resent
        return self._keep(same, same), same  # another conversation: the request wins from where they differ

    def _without_answers(self) -> tuple[int, int]:
        """Only questions: unless they are the stored ones, nothing shows that the caller resends anything."""
        questions, same = len(self._resent), shared_start(self._visible, self._resent)
        if questions and same == questions and not self._is_answer(same):
            return self._keep(same, same), same  # questions that were never answered
        if questions and self._resent == self._question_numbers(self._places):
            return len(self._stored), questions  # a client that resends its questions only
        return self._before_retry(), 0

    def _before_retry(self) -> int:
        """How many stored messages come before the unanswered questions that the request repeats."""
        unanswered = self._unanswered()
        again = overlap(self._numbers, [self._stored_numbers[place] for place in unanswered])
        return unanswered[-again] if again else len(self._stored)

    def _unanswered(self) -> list[int]:
        """The places of the questions to the last runs, back to the newest run that was finished.

        What a run's agent did by itself (its calls of tools, and their results) is not among them.
        """
        first = len(self._stored)
        while first and self._stored[first - 1].run_state != "finished":
            first -= 1
        questions, answered_run = [], None
        for place in range(first, len(self._stored)):
            if self._stored[place].message.role == "assistant":
                answered_run = self._stored[place].run_number
            elif self._stored[place].run_number != answered_run:
                questions.append(place)
        return questions

    def _keep(self, same: int, repeated: int) -> int:
        """How many stored messages to keep, if the first `same` of the visible ones are to be kept.

        An answer that was cut short may follow them, which the client does not have. It stays if the request
        goes on with a question, and makes way for an answer. Stored are `Q1 A1-`, and one is the same: the
        request `Q1 Q2` keeps both, the request `Q1 A1' Q2` keeps Q1 alone.
        """
        if self._incoming[repeated].role == "user":
            return self._places[same] if same < len(self._places) else len(self._stored)
        return self._places[same - 1] + 1 if same else 0

    def _is_answer(self, place: int) -> bool:
        return place < len(self._places) and _any_answer([self._stored[self._places[place]].message])

    def _question_numbers(self, places: Sequence[int]) -> list[int]:
        return [self._stored_numbers[place] for place in places if self._stored[place].message.role == "user"]


def _any_answer(messages: Sequence[Message]) -> bool:
    return any(message.role in ("assistant", "tool") for message in messages)


def _start_of_newest(incoming: Sequence[Message]) -> int:
    """Where the certainly new part begins: the last message, or all tool results at the end."""
    start = len(incoming) - 1
    while start > 0 and incoming[start].role == "tool" and incoming[start - 1].role == "tool":
        start -= 1
    return start
