"""Which messages of a request are new: the promises of docs/sessions.md, case by case."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest

from app.messages import ImagePart, Message, TextPart, ToolCall
from app.sessions.history import reconcile
from app.sessions.stored import StoredMessage
from tests.unit.sessions.conversation import Conversation, assistant, stored, user

U1, A1, U2, A2, U3, A3 = (
    user("one?"),
    assistant("One."),
    user("two?"),
    assistant("Two."),
    user("three?"),
    assistant("Three."),
)
TWO_ANSWERS = (U1, A1, U2, A2)


def model_sees(kept: Sequence[StoredMessage], *incoming: Message) -> list[Message]:
    result = reconcile(kept, incoming)
    return [one.message for one in kept if one.id in result.kept] + list(result.new)


def failed(kept: list[StoredMessage], count: int, *, cut: bool = False) -> list[StoredMessage]:
    """The last `count` messages belong to a run that was not finished."""
    changed = [one._replace(run_state="aborted" if cut else "failed") for one in kept[-count:]]
    if cut:
        changed[-1] = changed[-1]._replace(state="partial")
    return kept[:-count] + changed


def test_in_a_new_session_all_of_the_request_is_new():
    assert model_sees([], *TWO_ANSWERS, U3) == [*TWO_ANSWERS, U3]


def test_a_single_message_is_added():
    assert model_sees(stored(*TWO_ANSWERS), U3) == [*TWO_ANSWERS, U3]


def test_the_same_single_message_is_added_again():
    assert model_sees(stored(U1, A1), U1) == [U1, A1, U1]


def test_only_the_end_of_a_resent_conversation_is_new():
    result = reconcile(stored(*TWO_ANSWERS), [*TWO_ANSWERS, U3])
    assert result.new == (U3,)
    assert result.kept == (1, 2, 3, 4)
    assert result.replaced == ()


def test_a_regeneration_replaces_the_last_answer():
    result = reconcile(stored(*TWO_ANSWERS), [U1, A1, U2])
    assert (result.kept, result.replaced, result.new) == ((1, 2), (3, 4), (U2,))


def test_an_edit_replaces_everything_after_it():
    edited = user("two, edited?")
    assert model_sees(stored(*TWO_ANSWERS, U3, A3), U1, A1, edited) == [U1, A1, edited]


def test_an_edit_in_the_middle_that_keeps_the_rest_wins():
    edited = assistant("One, but edited.")
    assert model_sees(stored(*TWO_ANSWERS), U1, edited, U2, A2, U3) == [U1, edited, U2, A2, U3]


def test_another_conversation_replaces_the_stored_one():
    other = [user("x"), assistant("y"), user("z")]
    result = reconcile(stored(*TWO_ANSWERS), other)
    assert (result.kept, result.new) == ((), tuple(other))


def test_the_greeting_of_a_client_is_stored_once():
    hello = assistant("How can I help?")
    talk = Conversation()
    assert talk.run([hello, U1], "One.", "finished") == [hello, U1]
    assert talk.run([hello, U1, A1, U2], "Two.", "finished") == [hello, U1, A1, U2]
    assert [one.message for one in talk.kept] == [hello, U1, A1, U2, A2]


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_a_window_of_the_newest_messages_is_recognised(size):
    window = [*TWO_ANSWERS][-size:]
    assert model_sees(stored(*TWO_ANSWERS), *window, U3) == [*TWO_ANSWERS, U3]


def test_a_window_with_more_questions_adds_all_of_them():
    assert model_sees(stored(*TWO_ANSWERS), A2, U3, user("and?")) == [*TWO_ANSWERS, U3, user("and?")]


def test_a_window_with_an_answer_that_is_not_stored_wins():
    window = [A2, U3, A3, user("four?")]
    assert model_sees(stored(*TWO_ANSWERS), *window) == window


def test_of_repeated_messages_the_first_ones_are_matched():
    again = stored(U1, A1, U1, A1)
    result = reconcile(again, [U1, A1, U2])
    assert (result.kept, result.replaced) == ((1, 2), (3, 4))


def test_a_window_that_regenerates_replaces_the_last_answer():
    assert model_sees(stored(*TWO_ANSWERS, U3, A3), U2, A2, U3) == [*TWO_ANSWERS, U3]


def test_several_new_questions_are_all_added():
    assert model_sees(stored(*TWO_ANSWERS), U3, user("and?")) == [*TWO_ANSWERS, U3, user("and?")]


def test_a_client_that_resends_its_questions_only_repeats_nothing():
    assert model_sees(stored(*TWO_ANSWERS), U1, U2, U3) == [*TWO_ANSWERS, U3]


def test_a_repeated_first_question_does_not_empty_the_session():
    assert model_sees(stored(*TWO_ANSWERS), U1, U3) == [*TWO_ANSWERS, U1, U3]


class TestRetry:
    def test_a_failed_question_alone_asked_again_is_seen_once(self):
        result = reconcile(failed(stored(U1, A1, U2), 1), [U2])
        assert (result.kept, result.replaced, result.new) == ((1, 2), (3,), (U2,))

    def test_a_failed_question_asked_again_with_more_is_seen_once(self):
        assert model_sees(failed(stored(U1, A1, U2), 1), U2, U3) == [U1, A1, U2, U3]

    def test_a_failed_question_resent_with_everything_is_seen_once(self):
        assert model_sees(failed(stored(U1, A1, U2), 1), U1, A1, U2) == [U1, A1, U2]

    def test_a_question_with_a_cut_answer_asked_again_is_seen_once(self):
        kept = failed(stored(U1, A1, U2, assistant("Tw")), 2, cut=True)
        assert model_sees(kept, U2) == [U1, A1, U2]

    def test_another_question_after_a_failed_one_is_added(self):
        assert model_sees(failed(stored(U1, A1, U2), 1), U3) == [U1, A1, U2, U3]

    def test_tool_results_sent_again_are_seen_once(self):
        call = Message("assistant", tool_calls=(ToolCall("c1", "f", "{}"),))
        result = Message("tool", "42", tool_call_id="c1")
        kept = failed([*stored(U1, call), StoredMessage(9, 2, result)], 1)
        assert model_sees(kept, result) == [U1, call, result]
        assert model_sees(kept, U1, call, result) == [U1, call, result]

    def test_tool_calls_of_the_agent_do_not_hide_the_question(self):
        tool_use = [Message("assistant", tool_calls=(ToolCall("c", "f", "{}"),)), Message("tool", "1")]
        kept = failed(stored(U1, A1, U2, *tool_use, assistant("Tw")), 4, cut=True)
        assert model_sees(kept, U2) == [U1, A1, U2]

    def test_messages_of_a_finished_run_are_not_a_retry(self):
        assert model_sees(failed(stored(U1, A1, U2), 1)[:2], U1) == [U1, A1, U1]


class TestCutAnswers:
    KEPT = failed(stored(U1, assistant("One is")), 2, cut=True)

    @pytest.mark.parametrize("seen", ["One is", "One", "One is the first"])
    def test_the_client_may_have_seen_less_or_more(self, seen):
        assert model_sees(self.KEPT, U1, assistant(seen), U2) == [U1, assistant("One is"), U2]

    def test_the_client_may_have_dropped_it(self):
        assert model_sees(self.KEPT, U1, U2) == [U1, assistant("One is"), U2]

    def test_another_answer_replaces_it(self):
        assert model_sees(self.KEPT, U1, assistant("Eins."), U2) == [U1, assistant("Eins."), U2]

    def test_a_window_may_begin_with_it(self):
        assert model_sees(self.KEPT, assistant("One i"), U2) == [U1, assistant("One is"), U2]

    def test_an_empty_answer_may_be_left_out_or_sent(self):
        kept = stored(U1, assistant(""), U2, A2)
        assert model_sees(kept, U1, U2, A2, U3) == [U1, assistant(""), U2, A2, U3]
        assert model_sees(kept, U1, assistant(" "), U2, A2, U3) == [U1, assistant(""), U2, A2, U3]


class TestMatching:
    @pytest.mark.parametrize(
        ("ours", "theirs"),
        [
            (assistant(" One.\n"), assistant("One.")),
            (assistant("a\nb"), assistant("a\r\nb")),
            (assistant("a\nb"), Message("assistant", (TextPart("a"), TextPart("b")))),
            (
                Message("assistant", tool_calls=(ToolCall("c", "f", '{"a":1,"b":2}'),)),
                Message("assistant", tool_calls=(ToolCall("c", "f", '{ "b": 2, "a": 1 }'),)),
            ),
            (
                Message("assistant", tool_calls=(ToolCall("c", "f", "{}"),)),
                Message("assistant", tool_calls=(ToolCall("", "f", "{}"),)),
            ),
        ],
    )
    def test_does_not_depend_on_form(self, ours, theirs):
        assert model_sees(stored(U1, ours), U1, theirs, U2) == [U1, ours, U2]

    @pytest.mark.parametrize(
        ("ours", "theirs"),
        [
            (assistant("One."), assistant("one.")),
            (
                Message("assistant", tool_calls=(ToolCall("c", "f", "{}"),)),
                Message("assistant", tool_calls=(ToolCall("d", "f", "{}"),)),
            ),
            (
                Message("assistant", tool_calls=(ToolCall("c", "f", '{"a":1}'),)),
                Message("assistant", tool_calls=(ToolCall("c", "f", '{"a":2}'),)),
            ),
            (
                Message("assistant", tool_calls=(ToolCall("c", "f", "not json"),)),
                Message("assistant", tool_calls=(ToolCall("c", "f", "nor this"),)),
            ),
        ],
    )
    def test_depends_on_content(self, ours, theirs):
        assert model_sees(stored(U1, ours), U1, theirs, U2) == [U1, theirs, U2]

    def test_depends_on_images(self):
        cat, dog = (Message("user", (ImagePart("image/png", data),)) for data in ("Y2F0", "ZG9n"))
        assert model_sees(stored(cat, A1), cat, A1, U2) == [cat, A1, U2]
        assert model_sees(stored(cat, A1), dog, A1, U2) == [dog, A1, U2]


class TestToolResults:
    CALLS = Message("assistant", tool_calls=(ToolCall("c1", "f", "{}"), ToolCall("c2", "g", "{}")))
    RESULTS = (Message("tool", "1", tool_call_id="c1"), Message("tool", "2", tool_call_id="c2"))

    def test_all_results_of_one_turn_are_new_together(self):
        result = reconcile(stored(U1, self.CALLS), [U1, self.CALLS, *self.RESULTS])
        assert result.new == self.RESULTS
        assert result.replaced == ()

    def test_results_alone_are_added(self):
        assert model_sees(stored(U1, self.CALLS), *self.RESULTS) == [U1, self.CALLS, *self.RESULTS]

    def test_results_with_a_question_after_them_are_added(self):
        sent = [U1, self.CALLS, *self.RESULTS, U2]
        result = reconcile(stored(U1, self.CALLS), sent)
        assert (result.replaced, result.new) == ((), (*self.RESULTS, U2))

    def test_results_after_a_window_are_added(self):
        kept = stored(U1, A1, U2, self.CALLS)
        assert model_sees(kept, self.CALLS, *self.RESULTS, U3) == [U1, A1, U2, self.CALLS, *self.RESULTS, U3]

    def test_changed_results_replace_the_stored_ones(self):
        other = Message("tool", "3", tool_call_id="c1")
        kept = stored(U1, self.CALLS, *self.RESULTS, A1)
        sent = [U1, self.CALLS, other, self.RESULTS[1], A1, U2]
        assert model_sees(kept, *sent) == sent


def test_an_answer_that_was_cut_short_may_read_like_a_whole_one():
    """A window begins with the whole one, and its client never had the other."""
    talk = Conversation()
    talk.run([user("q0")], "a0", "finished")
    talk.run([assistant("a0"), user("q1")], "", "finished", ["Let me look."])
    talk.run([assistant("Let me look."), user("q2")], None, "failed", ["Let me look."])
    seen = talk.seen([assistant("Let me look."), user("q2"), user("q3")])
    assert [one.text for one in seen if one.role == "user"] == ["q0", "q1", "q2", "q3"]


def test_an_assistant_message_at_the_very_end_is_passed_on():
    begun = assistant("Two begins with")
    assert model_sees(stored(U1, A1), U1, A1, U2, begun) == [U1, A1, U2, begun]


@pytest.mark.parametrize("texts", [["hi", "hello"], [f"text {number}" for number in range(5000)]])
def test_five_thousand_messages_take_less_than_a_twentieth_of_a_second(texts):
    messages = [
        (user if number % 2 == 0 else assistant)(texts[number % len(texts)]) for number in range(5000)
    ]
    kept = stored(*messages)
    requests = [[*messages, U3], [*messages[1000:], U3], [*messages[3000:4000], assistant("no"), U3]]
    for request in requests:
        best = min(_seconds(kept, request) for _ in range(3))
        assert best < 0.05


def _seconds(kept: Sequence[StoredMessage], request: Sequence[Message]) -> float:
    start = time.process_time()
    reconcile(kept, request)
    return time.process_time() - start
