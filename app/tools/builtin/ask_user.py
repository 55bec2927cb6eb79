"""`ask_user`: asks the people whom the agent works for, and waits for their answer."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from app.tools.base import Invocation, Tool, ToolError, ToolOutput, define_tool
from app.tools.parameters import Parameters
from app.tools.questions.record import (
    MAX_DESCRIPTION,
    MAX_HEADER,
    MAX_LABEL,
    MAX_OPTIONS,
    MAX_QUESTIONS,
    MAX_TEXT,
    Asked,
    Option,
    Question,
)
from app.tools.questions.service import QuestionService
from app.tools.sessions.rows import as_json

DEFAULT_SECONDS, MAX_SECONDS = 600.0, 3600.0
INSTEAD = "Ask in your answer instead, and end your turn."


class GivenOption(msgspec.Struct, frozen=True):
    label: Annotated[str, Meta(min_length=1, max_length=MAX_LABEL)]
    description: Annotated[str, Meta(max_length=MAX_DESCRIPTION)] | None = None


class GivenQuestion(msgspec.Struct, frozen=True, rename="camel"):
    id: Annotated[str, Meta(pattern="^[a-z][a-z0-9_]*$", max_length=64)]
    header: Annotated[str, Meta(description="A word or two.", max_length=MAX_HEADER)]
    question: Annotated[str, Meta(min_length=1, max_length=MAX_TEXT)]
    options: Annotated[list[GivenOption], Meta(min_length=2, max_length=MAX_OPTIONS)]
    multi_select: bool = False


class AskUser(Parameters, forbid_unknown_fields=True):
    questions: Annotated[
        list[GivenQuestion],
        Meta(
            description="What to ask, each with answers to choose from.",
            min_length=1,
            max_length=MAX_QUESTIONS,
        ),
    ]
    timeout_seconds: Annotated[
        float, Meta(description="How long to wait. Default 600.", ge=1, le=MAX_SECONDS)
    ] = DEFAULT_SECONDS


class AskUserTool:
    def __init__(self, questions: QuestionService) -> None:
        self._questions = questions

    def tool(self) -> Tool:
        return define_tool(
            "ask_user",
            "Ask the user up to three questions, with two to four options each (the user may also write "
            "something else), and wait for the answers. Only for decisions that you cannot make yourself.",
            AskUser,
            self._ask,
            summary="ask the user, and wait for the answer",
            seconds=None,
        )

    def _ask(self, call: Invocation, given: AskUser) -> ToolOutput:
        run = call.run
        if len({one.id for one in given.questions}) < len(given.questions):
            raise ToolError("Each question needs an `id` of its own.")
        if not self._questions.can_be_asked(run.session_key):
            return as_json({"status": "unavailable", "note": f"Nobody is there who could answer. {INSTEAD}"})
        asked = self._questions.begin(
            [_question(one) for one in given.questions],
            given.timeout_seconds,
            agent_id=run.agent_id,
            session_key=run.session_key,
            run_id=run.run_id,
        )
        resume = run.pause()
        try:
            call.update("\n".join(one.question for one in given.questions))
            over = self._questions.wait(asked.id, call.cancel)
        finally:
            resume()
        return _result(over)


def _question(given: GivenQuestion) -> Question:
    return Question(
        id=given.id,
        header=given.header,
        question=given.question,
        options=tuple(Option(one.label, one.description) for one in given.options),
        is_multiple=given.multi_select,
    )


def _result(asked: Asked) -> ToolOutput:
    if asked.state == "answered":
        return as_json({"status": "answered", "answers": dict(asked.answers)})
    why = (
        "The user does not want to answer." if asked.state == "cancelled" else "Nobody has answered in time."
    )
    return as_json({"status": asked.state, "note": f"{why} {INSTEAD}"})
