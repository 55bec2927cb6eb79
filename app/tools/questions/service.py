"""Asks people, and waits for their answer. A question lives as long as its run: it is kept in memory, in the
worker that has the run. Those of other workers are asked for there.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Sequence
from operator import attrgetter

from msgspec.structs import replace

from app.cancel import Cancel
from app.clock import now_ms
from app.cluster.ask import Workers, no_workers
from app.errors import InvalidRequest, NotFound, Overloaded
from app.ids import new_uuid
from app.logs.lines import log_event
from app.tools.questions.others import OtherWorkers
from app.tools.questions.record import Answers, Asked, Question, QuestionState

logger = logging.getLogger("app.tools")

MAX_PENDING = 500
MAX_REMEMBERED = 200  # that are over
RETRY_SECONDS = 5.0

Listener = Callable[[Asked], object]


class _Open:
    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self.over = threading.Event()
        self.then: list[Listener] = []


class QuestionService:
    """`listeners` are called with each question that begins and each that ends; they must not wait.

    `answerers` say, for a session's key, whether somebody is there who may answer its agent.
    """

    def __init__(self, workers: Workers | None = None) -> None:
        self._others = OtherWorkers(workers or no_workers())
        self._open: dict[str, _Open] = {}
        self._elsewhere: dict[str, list[Listener]] = defaultdict(list)  # who waits for those of other workers
        self._over: OrderedDict[str, Asked] = OrderedDict()
        self.listeners: list[Listener] = []
        self.answerers: list[Callable[[str], bool]] = []
        self._others.serve(self)

    def can_be_asked(self, session_key: str) -> bool:
        """Whether somebody is there who may answer the session's agent."""
        return self.has_answerers(session_key) or self._others.have_answerers(session_key)

    def has_answerers(self, session_key: str) -> bool:
        """Whether somebody is connected to this worker who may answer the session's agent."""
        return any(is_there(session_key) for is_there in self.answerers)

    def begin(
        self,
        questions: Sequence[Question],
        seconds: float,
        *,
        agent_id: str,
        session_key: str,
        run_id: str = "",
        question_id: str | None = None,
    ) -> Asked:
        """Ask. Raises Overloaded, and InvalidRequest: there is one of that id."""
        if question_id is not None and (question_id in self._open or question_id in self._over):
            raise InvalidRequest(f"There is a question with the id {question_id[:80]!r} already.")
        if len(self._open) >= MAX_PENDING:
            raise Overloaded(f"{MAX_PENDING} questions are waiting already.", retry_after=RETRY_SECONDS)
        now = now_ms()
        asked = Asked(
            id=question_id or new_uuid(),
            questions=tuple(questions),
            agent_id=agent_id,
            session_key=session_key,
            run_id=run_id,
            created_at=now,
            expires_at=now + max(1, int(seconds * 1000)),
        )
        self._open[asked.id] = _Open(asked)
        self._tell("question asked", asked)
        self._others.tell(asked)
        return asked

    def wait(self, question_id: str, cancel: Cancel) -> Asked:
        """The question once it is over. If `cancel` comes first, it is cancelled, and the error raised."""
        found = self._open.get(question_id)
        if found is None:
            return self.get(question_id)
        try:
            with cancel.waking(found.over.set):
                found.over.wait(max(0.0, found.asked.expires_at / 1000 - time.time()))
        except Exception:
            if found.asked.is_pending:
                self._end(question_id, "cancelled")
            raise
        return self._end(question_id, "expired") if found.asked.is_pending else found.asked

    def when_over(self, question_id: str, then: Listener) -> Callable[[], None]:
        """Call `then` with the question when it is over; now if it is. Returns what takes the request back.

        Raises NotFound and ClusterUnavailable.
        """
        found = self._open.get(question_id)
        if found is None and not (asked := self.get(question_id)).is_pending:
            then(asked)
            return lambda: None
        waiting = self._elsewhere[question_id] if found is None else found.then
        waiting.append(then)

        def take_back() -> None:
            if then in waiting:
                waiting.remove(then)
            if not self._elsewhere.get(question_id, True):
                del self._elsewhere[question_id]

        return take_back

    def get(self, question_id: str) -> Asked:
        """That one, over or not. Raises NotFound and ClusterUnavailable."""
        asked = next(iter(self.own(question_id)), None) or self._others.find(question_id)
        if asked is None:
            raise NotFound(f"There is no question {question_id[:80]!r}.")
        return asked

    def own(self, question_id: str | None = None) -> Sequence[Asked]:
        """Those of this worker that wait for an answer, oldest first; that one, over or not."""
        self.sweep()
        if question_id is None:
            return [one.asked for one in self._open.values()]
        found = self._open.get(question_id)
        asked = found.asked if found is not None else self._over.get(question_id)
        return [] if asked is None else [asked]

    def pending(self) -> Sequence[Asked]:
        """All that wait for an answer, oldest first."""
        return sorted((*self.own(), *self._others.pending()), key=attrgetter("created_at"))

    def answer(self, question_id: str, answers: Answers, by: str) -> Asked:
        """Answer it; the question as it ended. Raises NotFound, InvalidRequest: it is over already."""
        return self._resolve(question_id, "answered", answers, by)

    def cancel(self, question_id: str, by: str) -> Asked:
        """Refuse to answer. Raises what `answer` raises."""
        return self._resolve(question_id, "cancelled", {}, by)

    def sweep(self) -> None:
        """End what has expired and nobody waits for: a client's own questions."""
        now = now_ms()
        for question_id in [one for one, found in self._open.items() if found.asked.expires_at <= now]:
            self._end(question_id, "expired")

    def resolve_own(self, question_id: str, state: QuestionState, answers: Answers, by: str) -> Asked:
        """End one of this worker's. Raises InvalidRequest: it is over already."""
        (asked,) = self.own(question_id)
        if not asked.is_pending:
            raise InvalidRequest(f"The question is over already: {asked.state}.")
        return self._end(question_id, state, answers, by)

    def told(self, asked: Asked) -> None:
        """One of another worker has begun, or is over."""
        for listener in list(self.listeners):
            listener(asked)
        if not asked.is_pending:
            for then in self._elsewhere.pop(asked.id, ()):
                then(asked)

    def _resolve(self, question_id: str, state: QuestionState, answers: Answers, by: str) -> Asked:
        if self.own(question_id):
            return self.resolve_own(question_id, state, answers, by)
        over = self._others.resolve(question_id, state, answers, by)
        if over is None:
            raise NotFound(f"There is no question {question_id[:80]!r}.")
        return over

    def _end(
        self, question_id: str, state: QuestionState, answers: Answers | None = None, by: str | None = None
    ) -> Asked:
        """End it that way unless it has ended already; how it has."""
        found = self._open.pop(question_id, None)
        if found is None:
            return self._over[question_id]
        asked = replace(found.asked, state=state, answers=answers or {}, resolved_by=by)
        self._over[question_id] = asked
        while len(self._over) > MAX_REMEMBERED:
            self._over.popitem(last=False)
        found.asked = asked
        found.over.set()
        self._tell("question resolved", asked)
        self._others.tell(asked)
        while found.then:
            found.then.pop(0)(asked)
        return asked

    def _tell(self, message: str, asked: Asked) -> None:
        given = {
            "question": asked.id,
            "agent": asked.agent_id,
            "run_id": asked.run_id,
            "by": asked.resolved_by,
        }
        known = {name: value for name, value in given.items() if value}
        log_event(logger, logging.INFO, message, **known, state=asked.state)
        for listener in list(self.listeners):
            listener(asked)
