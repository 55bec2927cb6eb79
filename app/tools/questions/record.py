"""Questions of an agent to the people it works for, and their answers (docs/tools.md#questions). Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from app.errors import InvalidRequest
from app.sessions.keys import shown_run_id

QuestionState = Literal["pending", "answered", "cancelled", "expired"]
Answers = Mapping[str, Sequence[str]]  # by the question's id: labels of options, or other text

MAX_QUESTIONS = 3
MAX_OPTIONS = 4
MAX_TEXT = 2000  # characters of a question, and of an answer
MAX_HEADER, MAX_LABEL, MAX_DESCRIPTION = 80, 200, 500


class Option(msgspec.Struct, frozen=True):
    label: str
    description: str | None = None


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """One question. Whoever answers may also write something else than the options."""

    id: str
    header: str
    question: str
    options: tuple[Option, ...]
    is_multiple: bool = False


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked at once, as it is at this moment. Times are milliseconds since 1970."""

    id: str
    questions: tuple[Question, ...]
    agent_id: str
    session_key: str
    run_id: str
    created_at: int
    expires_at: int
    state: QuestionState = "pending"
    answers: Answers = msgspec.field(default_factory=dict)
    resolved_by: str | None = None

    @property
    def is_pending(self) -> bool:
        return self.state == "pending"


def dump_asked(asked: Asked) -> dict[str, Any]:
    """As the Gateway protocol shows it; what is not known is left out."""
    shown: dict[str, Any] = {
        "id": asked.id,
        "questions": [_dump_question(one) for one in asked.questions],
        "agentId": asked.agent_id,
        "sessionKey": asked.session_key or None,
        "runId": shown_run_id(asked.run_id, asked.session_key) or None,
        "createdAtMs": asked.created_at,
        "expiresAtMs": asked.expires_at,
        **dump_outcome(asked),
    }
    return {name: value for name, value in shown.items() if value is not None}


def dump_outcome(asked: Asked) -> dict[str, Any]:
    """Its state, and the answers if there are any."""
    outcome: dict[str, Any] = {"status": asked.state}
    if asked.state == "answered":
        outcome["answers"] = {"answers": {name: list(texts) for name, texts in asked.answers.items()}}
    if asked.resolved_by is not None:
        outcome["resolvedBy"] = asked.resolved_by
    return outcome


def _dump_question(question: Question) -> dict[str, Any]:
    options = [msgspec.structs.asdict(one) for one in question.options]
    return {
        "questionId": question.id,
        "header": question.header,
        "question": question.question,
        "options": [{name: text for name, text in one.items() if text is not None} for one in options],
        "multiSelect": question.is_multiple,
        "isOther": True,
    }


def load_answers(asked: Asked, given: object) -> Answers:
    """The answers to all of the questions. Raises InvalidRequest."""
    if isinstance(given, Mapping) and isinstance(given.get("answers"), Mapping):
        given = given["answers"]
    if not isinstance(given, Mapping):
        raise InvalidRequest("`answers` must be an object: {answers: {<question id>: [<answer>]}}.")
    ids = [one.id for one in asked.questions]
    if strange := [str(name)[:80] for name in given if name not in ids]:
        raise InvalidRequest(f"There is no question {strange[0]!r}; the questions are: {', '.join(ids)}.")
    return {one.id: _load_answer(one, given.get(one.id)) for one in asked.questions}


def _load_answer(question: Question, given: object) -> Sequence[str]:
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not all(isinstance(one, str) for one in texts):
        raise InvalidRequest(f"The answer to {question.id!r} must be a list of texts.")
    answers = [one.strip() for one in texts if one.strip()]
    most = MAX_OPTIONS + 1 if question.is_multiple else 1
    if not 1 <= len(answers) <= most:
        raise InvalidRequest(
            f"The question {question.id!r} needs {'1' if most == 1 else f'1 to {most}'} answers."
        )
    if any(len(one) > MAX_TEXT for one in answers):
        raise InvalidRequest(f"An answer has at most {MAX_TEXT} characters.")
    return answers
