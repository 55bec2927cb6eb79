"""What another worker has done of a run that this one goes on with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from app.agents.answer import AnswerMessage
from app.messages import Message, Usage


class Earlier(NamedTuple):
    """What an earlier attempt has left of a run: its input and settled steps, what those have used, and the
    ids of calls without a result that were certainly not made.
    """

    input: Sequence[Message] = ()
    steps: Sequence[AnswerMessage] = ()
    usage: Usage = Usage()
    model: str | None = None
    not_made: frozenset[str] = frozenset()


NO_EARLIER = Earlier()
