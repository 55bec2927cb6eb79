"""Stored messages as the answers that callers have."""

from __future__ import annotations

import pytest

from app.messages import Message, ToolCall
from app.sessions.history import reconcile
from app.sessions.stored import StoredMessage, as_answered, join_texts
from tests.unit.sessions.conversation import assistant, stored, used_tool, user

Q1, Q2 = user("one?"), user("two?")
A1 = assistant("One.")
STEPS = (*used_tool(1, "Let me look."), *used_tool(2), *used_tool(3, "And there:\n"))
JOINED = assistant("Let me look.\n\nAnd there:\nOne.")
OWN, CLIENTS = ToolCall("o1", "read", "{}"), ToolCall("c1", "lookup", "{}")


def with_steps(*messages: Message) -> list[StoredMessage]:
    """Finished runs; of what stands between a question and an answer, all are steps."""
    kept = stored(*messages)
    for place, one in enumerate(kept[:-1]):
        if one.message.role == "tool" or one.message.tool_calls:
            kept[place] = one._replace(state="step")
    return kept


@pytest.mark.parametrize(
    ("texts", "joined"),
    [
        (["a", "b"], "a\n\nb"),
        (["a\n", "b"], "a\nb"),
        (["a", " b"], "a b"),
        (["", "a", "", "b", ""], "a\n\nb"),
        ([], ""),
    ],
)
def test_texts_are_set_apart(texts: list[str], joined: str):
    assert join_texts(texts) == joined


def test_conversations_without_tools_are_left_alone():
    kept = stored(Q1, A1, Q2)
    assert as_answered(kept) == (kept, range(1, 4))


def test_the_steps_to_an_answer_are_one_message_with_it():
    answered, ends = as_answered(with_steps(Q1, *STEPS, A1, Q2))
    assert [one.message for one in answered] == [Q1, JOINED, Q2]
    assert list(ends) == [1, 8, 9]


def test_the_callers_own_call_in_a_turn_with_one_of_the_agents():
    both = Message("assistant", "Both.", (OWN, CLIENTS))
    own_result = Message("tool", "r", tool_call_id="o1", name="read")
    result = Message("tool", "c", tool_call_id="c1")
    kept = [
        StoredMessage(1, 1, Q1),
        StoredMessage(2, 1, both, "step"),
        StoredMessage(3, 1, own_result, "step"),
        StoredMessage(4, 2, result),
        StoredMessage(5, 2, A1),
    ]
    answered, ends = as_answered(kept)
    assert answered[1].message == Message("assistant", "Both.", (CLIENTS,))
    assert answered[1].state == "complete"
    assert list(ends) == [1, 3, 4, 5]
    seen = reconcile(kept, [Q1, Message("assistant", "Both.", (CLIENTS,)), result, A1, Q2])
    assert (seen.kept, seen.new) == ((1, 2, 3, 4, 5), (Q2,))


def test_steps_without_an_answer_were_cut_short():
    kept = [one._replace(run_state="interrupted") for one in with_steps(Q1, *STEPS, A1)[:-1]]
    answered, _ = as_answered(kept)
    assert answered[1].state == "partial"
    assert reconcile(kept, [Q1, Q2]).kept == tuple(one.id for one in kept)  # the client has nothing of it
    assert reconcile(kept, [Q1, assistant("Let me"), Q2]).kept == tuple(one.id for one in kept)


def test_steps_that_were_the_last_are_an_answer():
    """The run had no turns left, and finished with what it had said."""
    kept = with_steps(Q1, *STEPS, A1)[:-1]
    answered, _ = as_answered(kept)
    assert answered[1].state == "complete"


@pytest.mark.parametrize(
    ("request_", "kept", "replaced"),
    [
        ([Q1, JOINED, Q2], range(1, 9), ()),
        ([JOINED, Q2], range(1, 9), ()),
        ([Q2], range(1, 9), ()),
        ([Q1], range(1, 9), ()),
        ([Q1, assistant("Edited."), Q2], [1], range(2, 9)),
    ],
)
def test_an_answer_is_kept_or_replaced_whole(request_, kept, replaced):
    seen = reconcile(with_steps(Q1, *STEPS, A1), request_)
    assert (seen.kept, seen.replaced) == (tuple(kept), tuple(replaced))
