"""The other workers, as far as questions go: their agents ask, too, and their clients may answer."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from app.cluster.ask import Workers
from app.cluster.base import Message
from app.concurrency.background import spawn
from app.errors import ClusterUnavailable, GatewayError, InvalidRequest
from app.logs.lines import log_event
from app.tools.questions.record import Answers, Asked, QuestionState

logger = logging.getLogger("app.tools")


class OwnQuestions(Protocol):
    """The questions of this worker's own agents and clients."""

    def own(self, question_id: str | None = None) -> Sequence[Asked]:
        """Those that wait for an answer; that one, over or not."""

    def resolve_own(self, question_id: str, state: QuestionState, answers: Answers, by: str) -> Asked:
        """End it that way. Raises InvalidRequest: it is over."""

    def told(self, asked: Asked) -> object:
        """A question of another worker has begun or ended. May wait."""

    def has_answerers(self, session_key: str) -> bool:
        """Whether this worker has somebody who may answer the session's agent."""


class OtherWorkers:
    """Each question lives in the worker whose run asks it; the others ask that one about it."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers

    def serve(self, questions: OwnQuestions) -> None:
        """Answer the other workers, and listen to them, from now on."""

        def find(asked: Message) -> Mapping[str, Any]:
            return {"found": msgspec.to_builtins(questions.own(asked["question"]))}

        def resolve(asked: Message) -> Mapping[str, Any]:
            if not questions.own(asked["question"]):
                return {"found": []}
            try:
                over = questions.resolve_own(
                    *(asked[name] for name in ("question", "state", "answers", "by"))
                )
            except GatewayError as error:
                return {"found": [], "refusal": error.message}
            return {"found": [msgspec.to_builtins(over)]}

        def told(message: Message) -> None:
            spawn(questions.told, msgspec.convert(message["asked"], Asked))

        self._workers.answer("questions", find)
        self._workers.answer("resolve question", resolve)
        self._workers.answer(
            "answerers", lambda asked: {"are_there": questions.has_answerers(asked["session_key"])}
        )
        self._workers.pubsub.subscribe("questions", told)

    def tell(self, asked: Asked) -> None:
        """Say that it has begun, or is over."""
        try:
            self._workers.pubsub.publish("questions", {"asked": msgspec.to_builtins(asked)})
        except ClusterUnavailable as error:
            log_event(logger, logging.WARNING, "other workers were not told", why=error.message)

    def find(self, question_id: str) -> Asked | None:
        """That one. Raises ClusterUnavailable."""
        replies = self._workers.ask("questions", {"question": question_id}, enough=_has_found)
        return next(iter(_found(replies)), None)

    def pending(self) -> Sequence[Asked]:
        """Those that wait for an answer; none while the other workers cannot be reached."""
        try:
            return _found(self._workers.ask("questions", {"question": None}))
        except ClusterUnavailable as error:
            log_event(logger, logging.WARNING, "questions of other workers are missing", why=error.message)
            return ()

    def resolve(self, question_id: str, state: QuestionState, answers: Answers, by: str) -> Asked | None:
        """End it that way; how it has ended. None: nobody has it.

        Raises InvalidRequest (it is over already) and ClusterUnavailable.
        """
        given = {"question": question_id, "state": state, "by": by}
        plain = {name: list(texts) for name, texts in answers.items()}
        replies = self._workers.ask("resolve question", {**given, "answers": plain}, enough=_has_found)
        for reply in replies:
            if "refusal" in reply:
                raise InvalidRequest(str(reply["refusal"]))
        return next(iter(_found(replies)), None)

    def have_answerers(self, session_key: str) -> bool:
        """Whether another worker has somebody who may answer the session's agent."""
        question = {"session_key": session_key}
        try:
            replies = self._workers.ask("answerers", question, enough=lambda reply: bool(reply["are_there"]))
        except ClusterUnavailable:
            return False
        return any(reply["are_there"] for reply in replies)


def _has_found(reply: Message) -> bool:
    return bool(reply["found"]) or "refusal" in reply


def _found(replies: Sequence[Message]) -> list[Asked]:
    return [msgspec.convert(one, Asked) for reply in replies for one in reply["found"]]
