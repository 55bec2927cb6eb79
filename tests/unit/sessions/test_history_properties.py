"""Clients with different habits go through random conversations.

The model never sees a message twice, nor one that the client does not have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.messages import Message, ToolCall
from app.sessions.stored import join_texts
from tests.unit.sessions.conversation import Conversation, assistant, user

pytestmark = pytest.mark.slow

Outcome = Literal["finished", "failed", "aborted"]
Habit = Literal["as it was", "trimmed", "windows"]


@dataclass(frozen=True)
class Step:
    """What the client does next, and how its run ends."""

    act: Literal["say", "again", "edit"]
    outcome: Outcome
    where: int  # which question is edited
    blank: bool  # whether the answer is empty
    drops_cut: bool  # whether the client drops an answer that was cut short
    tools: tuple[str, ...] = ()  # what the agent says before each use of a tool


steps = st.lists(
    st.builds(
        Step,
        act=st.sampled_from(["say", "say", "say", "again", "edit"]),
        outcome=st.sampled_from(["finished", "finished", "failed", "aborted"]),
        where=st.integers(0, 5),
        blank=st.sampled_from([False, False, False, True]),
        drops_cut=st.booleans(),
        tools=st.lists(st.sampled_from(["", "Let me look.", "One moment:\n", " "]), max_size=3).map(tuple),
    ),
    min_size=1,
    max_size=12,
)
habits = st.sampled_from(["as it was", "trimmed", "windows"])


@dataclass
class Client:
    """Keeps its own view of the conversation, and sends all of it or its end."""

    habit: Habit
    view: list[Message] = field(default_factory=list)
    asked: int = 0

    def prepare(self, step: Step) -> None:
        """Change the view so that it ends with the question to ask."""
        questions = [place for place, message in enumerate(self.view) if message.role == "user"]
        if step.act == "again" and questions and self._can_cut(questions[-1]):
            del self.view[questions[-1] + 1 :]
        elif step.act == "edit" and questions and self._can_cut(questions[step.where % len(questions)]):
            del self.view[questions[step.where % len(questions)] :]
            self._ask()
        else:
            self._ask()

    def receive(self, step: Step, answer: str | None) -> None:
        if answer is None or (step.outcome == "aborted" and step.drops_cut):
            return
        seen = join_texts((*step.tools, answer[:-1] if step.outcome == "aborted" else answer))
        if seen.strip():
            self.view.append(assistant(self._as_kept(seen)))

    def _ask(self) -> None:
        self.asked += 1
        self.view.append(user(f"  question {self.asked}.\r\n"))

    def _can_cut(self, place: int) -> bool:
        # Without an answer before it, a repeated question cannot be distinguished from a new one.
        return any(message.role == "assistant" for message in self.view[:place])

    def _as_kept(self, text: str) -> str:
        if self.habit == "trimmed":
            return text.strip()
        return text.replace("\n", "\r\n") if self.habit == "windows" else text


def answer_of(number: int, step: Step) -> str | None:
    if step.outcome == "failed":
        return None
    return "" if step.blank and step.outcome == "finished" else f"\nanswer {number}.\nindeed \n"


def questions_in(messages: Sequence[Message]) -> list[str]:
    return [message.text.strip() for message in messages if message.role == "user"]


def whole_answers_in(messages: Sequence[Message]) -> list[str]:
    """The answers that were not cut short, without what the agent said before it used tools."""
    lines = [
        message.text.replace("\r\n", "\n").strip() for message in messages if message.role == "assistant"
    ]
    return [text[text.index("answer") :] for text in lines if text.endswith("indeed")]


def are_paired(messages: Sequence[Message]) -> bool:
    """Whether each call is followed by its result, and each result stands behind its call."""
    calls = [[call.id for call in message.tool_calls] for message in messages]
    results = [[message.tool_call_id] if message.role == "tool" else [] for message in messages]
    return calls == [*results[1:], []]


@settings(deadline=None)  # a loaded machine is not a fault
@given(steps, habits)
def test_for_a_client_that_resends_everything_the_model_sees_what_the_client_shows(script, habit):
    talk, client = Conversation(), Client(habit)
    for number, step in enumerate(script):
        client.prepare(step)
        answer = answer_of(number, step)
        seen = talk.run(client.view, answer, step.outcome, step.tools)
        assert questions_in(seen) == questions_in(client.view)
        assert are_paired(seen)
        assert set(whole_answers_in(client.view)) <= set(whole_answers_in(seen))
        assert all(whole_answers_in(seen).count(text) == 1 for text in whole_answers_in(seen))
        client.receive(step, answer)


@settings(deadline=None)
@given(steps, habits)
def test_a_failed_request_that_is_sent_again_looks_the_same_to_the_model(script, habit):
    talk, client = Conversation(), Client(habit)
    for number, step in enumerate(script):
        client.prepare(step)
        first = talk.run(client.view, None, "failed")
        assert talk.seen(client.view) == first
        answer = answer_of(number, step)
        assert talk.run(client.view, answer, step.outcome, step.tools) == first
        client.receive(step, answer)


@settings(deadline=None)
@given(steps)
def test_for_a_client_that_sends_only_the_newest_message_all_questions_are_seen(script):
    talk, asked = Conversation(), []
    again = False
    for number, step in enumerate(script):
        if not again:
            asked.append(f"question {number}")
        seen = talk.run([user(asked[-1])], answer_of(number, step), step.outcome, step.tools)
        assert questions_in(seen) == asked
        again = step.outcome != "finished" and step.act == "again"


@settings(deadline=None)
@given(steps, st.integers(2, 6), habits)
def test_a_client_that_sends_a_window_loses_nothing_and_repeats_nothing(script, size, habit):
    talk, client = Conversation(), Client(habit)
    for number, step in enumerate(script):
        client.prepare(replace(step, act="say"))
        window = client.view[-size:]
        if not any(message.role == "assistant" for message in window):
            window = client.view[-1:]
        answer = answer_of(number, step)
        seen = talk.run(window, answer, step.outcome, step.tools)
        assert questions_in(seen) == questions_in(client.view)
        assert are_paired(seen)
        client.receive(step, answer)


@settings(deadline=None)
@given(st.lists(st.sampled_from(["say", "call", "calls", "again"]), min_size=1, max_size=8), st.booleans())
def test_a_clients_own_tools_beside_the_agents_lose_and_repeat_nothing(script, only_newest):
    """The client resends everything, or from its last message on: it knows its own calls alone."""
    talk, view = Conversation(), list[Message]()
    for number, act in enumerate(script):
        questions = [place for place, one in enumerate(view) if one.role == "user"]
        if act == "again" and len(questions) > 1:
            del view[questions[-1] + 1 :]
        else:
            view.append(user(f"question {number}"))
        for place in range({"say": 0, "call": 1, "calls": 2}.get(act, 0)):
            call = ToolCall(f"client_{number}_{place}", "lookup", "{}")
            sent = view[-1:] if only_newest and act != "again" else view
            seen = talk.run_to_client_call(sent, f"step {number}.{place}", call)
            assert_nothing_lost(seen, view)
            view += [Message("assistant", f"step {number}.{place}", (call,))]
            view += [Message("tool", f"client's {number}.{place}", tool_call_id=call.id)]
        sent = view[-1:] if only_newest and act != "again" else view
        seen = talk.run(sent, f"answer {number}", "finished", ["Let me look."])
        assert_nothing_lost(seen, view)
        view.append(assistant(f"Let me look.\n\nanswer {number}"))


def assert_nothing_lost(seen: Sequence[Message], view: Sequence[Message]) -> None:
    """The model sees the client's questions and results once, in order, and each call with its result."""
    for role in ("user", "tool"):
        texts = [one.text for one in seen if one.role == role and not one.text.startswith("result ")]
        assert texts == [one.text for one in view if one.role == role]
    called = [call.id for one in seen for call in one.tool_calls]
    answered = [one.tool_call_id for one in seen if one.role == "tool"]
    assert sorted(called) == sorted(map(str, answered))


@settings(deadline=None)
@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=10), st.data())
def test_the_newest_message_is_always_seen_last(texts, data):
    """With few different texts and any order of roles."""
    talk = Conversation()
    roles = st.sampled_from(["user", "assistant", "tool"])
    messages = st.tuples(roles, st.sampled_from("abc")).map(lambda pair: Message(*pair))
    for text in texts:
        before = data.draw(st.lists(messages, max_size=5))
        newest = Message(data.draw(roles), text)
        seen = talk.run([*before, newest], "b", data.draw(st.sampled_from(["finished", "failed"])))
        assert seen[-1] == newest
