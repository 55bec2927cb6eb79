"""`question.*`: what agents ask people, and the answers (docs/tools.md#questions)."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from app.concurrency.background import call_later
from app.errors import NotFound
from app.routing.operator import resolve_agent_id
from app.sessions.keys import is_visible
from app.tools.questions.record import (
    MAX_HEADER,
    MAX_OPTIONS,
    MAX_QUESTIONS,
    MAX_TEXT,
    Asked,
    Option,
    Question,
    dump_asked,
    dump_outcome,
    load_answers,
)
from app.tools.questions.service import QuestionService
from app.ws.call import LATER, Call, Handler
from app.ws.errors import ProtocolError
from app.ws.methods.session_rows import canonical_key

DEFAULT_MS, MAX_MS = 900_000, 3_600_000
MAX_ID = 64
_QUESTION_ID = re.compile(r"[a-z][a-z0-9_]{0,63}")


class GivenQuestion(msgspec.Struct, frozen=True, rename="camel"):
    question_id: str
    header: str
    question: str
    options: list[Option] = []
    multi_select: bool = False
    is_other: bool = False


def list_questions(call: Call) -> Any:
    """Those that wait for an answer, and that the caller may answer."""
    return {"questions": [dump_asked(one) for one in _questions(call).pending() if _is_for(call, one)]}


def get(call: Call) -> Any:
    """One of them, over or not."""
    return {"question": dump_asked(_find(call))}


def request(call: Call) -> Any:
    """Ask something of the client's own."""
    params = call.params
    questions = _load(call)
    question_id = params.optional_text("id")
    if question_id is not None and not 0 < len(question_id) <= MAX_ID:
        raise params.wrong("at /id", f"must have 1 to {MAX_ID} characters")
    agent_id = resolve_agent_id(params.optional_text("agentId"), call.gateway.settings)
    key = params.optional_text("sessionKey") or ("" if call.owner is None else "main")
    seconds = params.integer("timeoutMs", DEFAULT_MS, 1, MAX_MS) / 1000
    service = _questions(call)
    asked = service.begin(
        questions,
        seconds,
        agent_id=agent_id,
        session_key=canonical_key(call, key) if key else "",
        run_id=params.optional_text("runId") or "",
        question_id=question_id,
    )
    call_later(seconds, service.sweep)
    return {"id": asked.id, "expiresAtMs": asked.expires_at}


def wait_answer(call: Call) -> Any:
    """Wait until it is over, or `timeoutMs` have passed."""
    milliseconds = call.params.integer("timeoutMs", MAX_MS, 0, MAX_MS)
    asked = _find(call)
    if not asked.is_pending or not milliseconds:
        return dump_outcome(asked)
    answer = call.later()
    is_sent = False

    def send(asked: Asked) -> None:
        nonlocal is_sent
        if not is_sent:
            is_sent = True
            answer.succeed(dump_outcome(asked))

    take_back = _questions(call).when_over(asked.id, send)
    stop = call_later(milliseconds / 1000, lambda: send(asked))

    def clean_up() -> None:
        take_back()
        stop()

    answer.at_end(clean_up)
    return LATER


def resolve(call: Call) -> Any:
    """Answer it with `answers`, or refuse to with `cancel: true`. The first one does."""
    asked, service, given = _find(call), _questions(call), call.params.given
    by = call.peer.principal.user or call.peer.client.id
    if call.params.flag("cancel"):
        over = service.cancel(asked.id, by)
    else:
        over = service.answer(asked.id, load_answers(asked, given.get("answers")), by)
    return {"id": over.id, "ok": True, **dump_outcome(over)}


def _questions(call: Call) -> QuestionService:
    return call.gateway.tools.questions


def _is_for(call: Call, asked: Asked) -> bool:
    return call.owner is None or is_visible(asked.session_key, call.owner)


def _find(call: Call) -> Asked:
    question_id = call.params.text("id")
    try:
        found = _questions(call).get(question_id)
        if _is_for(call, found):
            return found
    except NotFound:
        pass
    raise ProtocolError("unknown or expired question id", {"reason": "QUESTION_NOT_FOUND"})


def _load(call: Call) -> list[Question]:
    params = call.params
    try:
        given = msgspec.convert(params.given.get("questions"), list[GivenQuestion])
    except msgspec.ValidationError as error:
        raise params.wrong("at /questions", str(error)) from error
    if not 1 <= len(given) <= MAX_QUESTIONS:
        raise params.wrong("at /questions", f"must have 1 to {MAX_QUESTIONS} items")
    if len({one.question_id for one in given}) < len(given):
        raise params.wrong("at /questions", "must have different ids")
    for one in given:
        texts = (one.question, *(option.label for option in one.options))
        if not _QUESTION_ID.fullmatch(one.question_id):
            raise params.wrong("at /questions", "has an id that does not match ^[a-z][a-z0-9_]*$")
        if len(one.options) > MAX_OPTIONS or len(one.header) > MAX_HEADER or max(map(len, texts)) > MAX_TEXT:
            raise params.wrong("at /questions", "is too long")
    return [
        Question(
            id=one.question_id,
            header=one.header,
            question=one.question,
            options=tuple(one.options),
            is_multiple=one.multi_select,
        )
        for one in given
    ]


QUESTIONS: dict[str, Handler] = {
    "question.request": request,
    "question.waitAnswer": wait_answer,
    "question.resolve": resolve,
    "question.get": get,
    "question.list": list_questions,
}
