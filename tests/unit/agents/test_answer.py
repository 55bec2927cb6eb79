"""What is kept of an agent's answer: turns, calls and results, with the states they are stored with."""

from __future__ import annotations

from app.agents.answer import LEFT_OUT, Answer
from app.events.types import ToolCallDelta
from app.messages import ImagePart, Message, TextPart, ToolCall

CALL = ToolCall("c1", "read", "{}")


def with_one_call(max_bytes: int = 1_000_000) -> Answer:
    """The model has said something and called a tool of the agent."""
    answer = Answer(max_bytes)
    turn = answer.begin_turn(lambda _: True)
    turn.add_text("Wait.")
    turn.add_tool_call(ToolCallDelta(0, "c1", "read", "{}"))
    answer.close_turn()
    return answer


def result(text: str) -> Message:
    return Message("tool", text, tool_call_id="c1", name="read")


def test_the_steps_to_an_answer_are_marked_as_such():
    answer = with_one_call()
    answer.add_result(result("ok"))
    answer.begin_turn().add_text("Done.")
    assert answer.entries == [
        (Message("assistant", "Wait.", (CALL,)), "step"),
        (result("ok"), "step"),
        (Message("assistant", "Done."), "complete"),
    ]
    assert answer.text == "Wait.\n\nDone."


def test_of_a_failed_answer_the_last_turn_is_partial():
    answer = with_one_call()
    answer.add_result(result("ok"))
    answer.begin_turn().add_text("Do")
    assert [state for _, state in answer.failed_entries] == ["step", "step", "partial"]


def test_a_failed_turn_without_anything_leaves_no_message():
    answer = with_one_call()
    answer.add_result(result("ok"))
    answer.begin_turn()
    assert [state for _, state in answer.failed_entries] == ["step", "step"]
    alone = Answer(1_000_000)
    alone.begin_turn()
    assert [state for _, state in alone.failed_entries] == ["partial"]


def test_results_are_left_out_when_there_is_no_memory_for_them():
    answer = with_one_call(10_000)
    answer.add_result(result("x" * 100_000))
    answer.add_result(result("small"))
    picture = (TextPart("see"), ImagePart("image/png", "A" * 100_000))
    answer.add_result(Message("tool", picture, tool_call_id="c1", name="read"))
    assert [message.text for message in answer.messages[1:]] == [LEFT_OUT, "small", LEFT_OUT]
    assert answer.messages[3].images == ()
