"""The agent at work: what it tells of a model's answer, and what it keeps of it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from app.agents.answer import Answer, AnswerMessage
from app.agents.loop import AgentTask, run_agent
from app.cancel import Cancel
from app.errors import ToolChoiceUnmet, UpstreamError
from app.events.types import Event, ModelFinished, ReasoningDelta, RunFinished, TextDelta, ToolCallDelta
from app.messages import Message, ToolCall, Usage
from app.providers.base import ModelCall
from app.providers.registry import Candidate
from tests.unit.agents.fake_provider import USED, FakeProvider, Step
from tests.unit.agents.own_tools import own_tools

MAX_BYTES = 1024 * 1024
ASKED = (Message("system", "1234"), Message("user", "12345"))


def answer_to(*steps: Step, choice: str | None = None) -> tuple[list[Event], Answer]:
    """The events that were yielded, and what was kept of them."""
    answer, events = Answer(MAX_BYTES), list[Event]()
    call = ModelCall("", ASKED, tool_choice=choice)
    task = AgentTask([Candidate(FakeProvider(steps), "m")], call, lambda *_: None)
    events.extend(run_agent(task, answer, Cancel()))
    return events, answer


def finished(reason: Any = "stop", usage: Usage | None = USED) -> ModelFinished:
    return ModelFinished(reason, usage)


def test_everything_is_told_in_order_with_the_runs_end_last():
    events, answer = answer_to(ReasoningDelta("hm"), TextDelta("Hel"), TextDelta("lo"), finished("length"))
    assert events == [
        ReasoningDelta("hm"),
        TextDelta("Hel"),
        TextDelta("lo"),
        ModelFinished("length", USED, "fake/m"),
        RunFinished("length", USED),
    ]
    assert (answer.text, answer.tool_calls, answer.model, answer.is_empty) == ("Hello", (), "fake/m", False)
    assert answer.messages[-1] == Message("assistant", "Hello")


def test_an_empty_answer_is_an_answer():
    events, answer = answer_to(finished())
    assert events[-1] == RunFinished("stop", USED)
    assert (answer.text, answer.is_empty) == ("", True)


def test_thinking_is_no_part_of_the_answer():
    _, answer = answer_to(ReasoningDelta("hm"), finished())
    assert answer.is_empty


def test_what_was_said_before_a_failure_is_kept():
    answer, events = Answer(MAX_BYTES), list[Event]()
    provider = FakeProvider([TextDelta("ha"), UpstreamError("no")])
    task = AgentTask([Candidate(provider, "m")], ModelCall("", ASKED), lambda *_: None)
    with pytest.raises(UpstreamError):  # noqa: PT012
        for event in run_agent(task, answer, Cancel()):
            events.append(event)
    assert events == [TextDelta("ha")]
    assert (answer.text, answer.model) == ("ha", None)


def test_tool_calls_are_put_together_from_fragments_in_any_order():
    events, answer = answer_to(
        TextDelta("Wait."),
        ToolCallDelta(1, "c2", "down"),
        ToolCallDelta(0, "c1", "up", '{"a"'),
        ToolCallDelta(1, arguments="{"),
        ToolCallDelta(0, arguments=":1}"),
        ToolCallDelta(1, arguments="}"),
        finished("tool_calls"),
    )
    calls = (ToolCall("c1", "up", '{"a":1}'), ToolCall("c2", "down", "{}"))
    assert events[-1] == RunFinished("tool_calls", USED, calls)
    assert answer.messages[-1] == Message("assistant", "Wait.", calls)
    assert not answer.is_empty


def test_an_id_and_a_name_are_told_once():
    events, _ = answer_to(
        ToolCallDelta(0, "c1", "up", "{"),
        ToolCallDelta(0, "c1", "up", "}"),
        ToolCallDelta(0, "", "", ""),
        finished(),
    )
    assert events[:3] == [
        ToolCallDelta(0, "c1", "up", "{"),
        ToolCallDelta(0, arguments="}"),
        ToolCallDelta(0),
    ]
    assert events[-1] == RunFinished("stop", USED, (ToolCall("c1", "up", "{}"),))


@pytest.mark.parametrize("missing", [None, ""])
def test_a_call_without_an_id_gets_one_that_is_its_own(missing: str | None):
    events, answer = answer_to(
        ToolCallDelta(0, missing, "up"),
        ToolCallDelta(1, missing, None),
        ToolCallDelta(0, arguments="{}"),
        finished(),
    )
    ids = [call.id for call in answer.tool_calls]
    assert all(re.fullmatch("call_[0-9a-f]{32}", one) for one in ids)
    assert len(set(ids)) == 2
    assert [delta.id for delta in events if isinstance(delta, ToolCallDelta)] == [*ids, None]
    assert [call.name for call in answer.tool_calls] == ["up", ""]


CALLS_UP = (ToolCallDelta(0, "c1", "up"), finished("tool_calls"))


@pytest.mark.parametrize("choice", [None, "auto", "none", "required", "function:up"])
def test_a_choice_that_was_honoured(choice: str | None):
    assert answer_to(*CALLS_UP, choice=choice)[0][-1] == RunFinished(
        "tool_calls", USED, (ToolCall("c1", "up", ""),)
    )


@pytest.mark.parametrize("choice", [None, "auto", "none"])
def test_a_choice_that_asks_for_nothing(choice: str | None):
    assert answer_to(TextDelta("No."), finished(), choice=choice)[0][-1] == RunFinished("stop", USED)


@pytest.mark.parametrize(
    ("steps", "choice"),
    [
        ((TextDelta("No."), finished()), "required"),
        ((finished(),), "required"),
        ((TextDelta("No."), finished()), "function:up"),
        (CALLS_UP, "function:down"),
        (CALLS_UP, "function:Up"),
        (CALLS_UP, "function:up:x"),
    ],
)
def test_a_choice_that_was_not_honoured(steps: tuple[Step, ...], choice: str):
    with pytest.raises(ToolChoiceUnmet, match="tool_choice"):
        answer_to(*steps, choice=choice)


def test_usage_is_the_providers_or_an_estimate_that_says_so():
    events, _ = answer_to(TextDelta("12345678"), finished(usage=Usage(1, 2, 3, 4)))
    assert events[-1] == RunFinished("stop", Usage(1, 2, 3, 4))
    events, _ = answer_to(TextDelta("12345678"), ToolCallDelta(0, "c", "up", "{}"), finished(usage=None))
    end = events[-1]
    assert isinstance(end, RunFinished)
    assert end.usage == Usage(3, 3, estimated=True)  # four letters a token, rounded up
    assert end.usage.total_tokens == 6


def test_an_estimate_of_nothing_is_nothing():
    events, _ = answer_to(finished(usage=None))
    assert isinstance(events[-1], RunFinished)
    assert events[-1].usage.completion_tokens == 0


def test_turns_stay_apart():
    """Text, calls and usage of each turn are its own; what the run has used is their sum."""
    call = ToolCall("c1", "up", "{}")
    provider = FakeProvider(
        [TextDelta("Wait."), ToolCallDelta(0, "c1", "up", "{}"), finished("tool_calls", Usage(1, 2))],
        [TextDelta("Done."), finished("stop", Usage(10, 20))],
    )
    task = AgentTask(
        [Candidate(provider, "m")], ModelCall("", ASKED), lambda *_: None, own_tools(up=lambda _: "ok"), 5
    )
    answer, saved = Answer(MAX_BYTES), list[AnswerMessage]()
    happened = list(run_agent(task, answer, Cancel(), saved.extend))
    result = Message("tool", "ok", tool_call_id="c1", name="up")
    assert answer.messages == (Message("assistant", "Wait.", (call,)), result, Message("assistant", "Done."))
    assert saved == [(answer.messages[0], "step"), (result, "step")]
    assert [turn.usage for turn in answer.turns] == [Usage(1, 2), Usage(10, 20)]
    assert happened[-1] == RunFinished("stop", Usage(11, 22))
    assert (answer.text, answer.tool_calls, answer.usage) == ("Wait.\n\nDone.", (), Usage(11, 22))
    assert [one.role for one in provider.calls[1].messages] == ["system", "user", "assistant", "tool"]
    assert [event.text for event in happened if isinstance(event, TextDelta)] == ["Wait.", "\n\n", "Done."]


def test_an_answer_may_take_only_so_much_memory():
    task = AgentTask(
        [Candidate(FakeProvider([TextDelta("x" * 200)] * 10), "m")], ModelCall("", ASKED), lambda *_: None
    )
    answer = Answer(1100)
    with pytest.raises(UpstreamError, match="longer than the gateway can keep"):
        list(run_agent(task, answer, Cancel()))
    assert answer.text == "x" * 600  # three pieces of 200 characters and what each costs besides
