"""What of a request is new: the words of the contract, case by case."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest

from app.messages import ImagePart, Message, TextPart, ToolCall
from app.sessions.history import StoredMessage, reconcile
from tests.unit.sessions.conversation import Conversation, assistant, stored, user

U1, A1, U2, A2, U3, A3 = (
    user("one?"),
    assistant("One."),
    user("two?"),
    assistant("Two."),
    user("three?"),
    assistant("Three."),
)
TWO_TURNS = (U1, A1, U2, A2)


def told(kept: Sequence[StoredMessage], *incoming: Message) -> list[Message]:
    result = reconcile(kept, incoming)
    return [one.message for one in kept if one.id in result.kept] + list(result.new)


def failed(kept: list[StoredMessage], count: int, *, cut: bool = False) -> list[StoredMessage]:
    """The last `count` messages belong to a run that was not finished."""
    changed = [one._replace(run_state="aborted" if cut else "failed") for one in kept[-count:]]
    if cut:
        changed[-1] = changed[-1]._replace(state="partial")
    return kept[:-count] + changed


def test_a_new_session_takes_the_request_as_it_is():
    assert told([], *TWO_TURNS, U3) == [*TWO_TURNS, U3]


def test_a_message_alone_is_added_to_what_is_stored():
    assert told(stored(*TWO_TURNS), U3) == [*TWO_TURNS, U3]


def test_the_same_message_alone_again_is_said_again():
    assert told(stored(U1, A1), U1) == [U1, A1, U1]


def test_of_a_conversation_resent_only_the_tail_is_new():
    result = reconcile(stored(*TWO_TURNS), [*TWO_TURNS, U3])
    assert result.new == (U3,)
    assert result.kept == (1, 2, 3, 4)
    assert result.replaced == ()


def test_a_regeneration_replaces_the_last_answer():
    result = reconcile(stored(*TWO_TURNS), [U1, A1, U2])
    assert (result.kept, result.replaced, result.new) == ((1, 2), (3, 4), (U2,))


def test_an_edit_replaces_all_behind_it():
    assert told(stored(*TWO_TURNS, U3, A3), U1, A1, user("two, edited?")) == [U1, A1, user("two, edited?")]


def test_an_edit_in_the_middle_with_the_rest_kept_wins():
    edited = assistant("One, but edited.")
    assert told(stored(*TWO_TURNS), U1, edited, U2, A2, U3) == [U1, edited, U2, A2, U3]


def test_another_conversation_replaces_the_stored_one():
    other = [user("x"), assistant("y"), user("z")]
    result = reconcile(stored(*TWO_TURNS), other)
    assert (result.kept, result.new) == ((), tuple(other))


def test_the_greeting_of_a_client_is_stored_once():
    hello = assistant("How can I help?")
    talk = Conversation()
    assert talk.run([hello, U1], "One.", "finished") == [hello, U1]
    assert talk.run([hello, U1, A1, U2], "Two.", "finished") == [hello, U1, A1, U2]
    assert [one.message for one in talk.kept] == [hello, U1, A1, U2, A2]


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_a_window_of_the_newest_messages_is_recognised(size):
    window = [*TWO_TURNS][-size:]
    assert told(stored(*TWO_TURNS), *window, U3) == [*TWO_TURNS, U3]


def test_a_window_with_more_questions_adds_all_of_them():
    assert told(stored(*TWO_TURNS), A2, U3, user("and?")) == [*TWO_TURNS, U3, user("and?")]


def test_a_window_with_an_answer_from_elsewhere_wins():
    window = [A2, U3, A3, user("four?")]
    assert told(stored(*TWO_TURNS), *window) == window


def test_where_words_repeat_the_beginning_counts_first():
    again = stored(U1, A1, U1, A1)
    result = reconcile(again, [U1, A1, U2])
    assert (result.kept, result.replaced) == ((1, 2), (3, 4))


def test_a_window_that_regenerates_replaces_the_last_answer():
    assert told(stored(*TWO_TURNS, U3, A3), U2, A2, U3) == [*TWO_TURNS, U3]


def test_several_new_questions_are_all_added():
    assert told(stored(*TWO_TURNS), U3, user("and?")) == [*TWO_TURNS, U3, user("and?")]


def test_a_client_that_keeps_its_own_side_only_repeats_nothing():
    assert told(stored(*TWO_TURNS), U1, U2, U3) == [*TWO_TURNS, U3]


def test_questions_that_look_like_the_first_one_do_not_wipe_the_session():
    assert told(stored(*TWO_TURNS), U1, U3) == [*TWO_TURNS, U1, U3]


class TestRetry:
    def test_a_failed_question_asked_again_alone_is_told_once(self):
        result = reconcile(failed(stored(U1, A1, U2), 1), [U2])
        assert (result.kept, result.replaced, result.new) == ((1, 2), (3,), (U2,))

    def test_a_failed_question_asked_again_with_more_is_told_once(self):
        assert told(failed(stored(U1, A1, U2), 1), U2, U3) == [U1, A1, U2, U3]

    def test_a_failed_question_resent_with_everything_is_told_once(self):
        assert told(failed(stored(U1, A1, U2), 1), U1, A1, U2) == [U1, A1, U2]

    def test_a_question_with_a_cut_answer_asked_again_is_told_once(self):
        kept = failed(stored(U1, A1, U2, assistant("Tw")), 2, cut=True)
        assert told(kept, U2) == [U1, A1, U2]

    def test_another_question_behind_a_failed_one_is_added(self):
        assert told(failed(stored(U1, A1, U2), 1), U3) == [U1, A1, U2, U3]

    def test_tool_results_sent_again_are_told_once(self):
        call = Message("assistant", tool_calls=(ToolCall("c1", "f", "{}"),))
        result = Message("tool", "42", tool_call_id="c1")
        kept = failed([*stored(U1, call), StoredMessage(9, 2, result)], 1)
        assert told(kept, result) == [U1, call, result]
        assert told(kept, U1, call, result) == [U1, call, result]

    def test_what_the_agent_did_by_itself_does_not_hide_the_question(self):
        tool_use = [Message("assistant", tool_calls=(ToolCall("c", "f", "{}"),)), Message("tool", "1")]
        kept = failed(stored(U1, A1, U2, *tool_use, assistant("Tw")), 4, cut=True)
        assert told(kept, U2) == [U1, A1, U2]

    def test_messages_of_a_finished_run_are_not_a_retry(self):
        assert told(failed(stored(U1, A1, U2), 1)[:2], U1) == [U1, A1, U1]


class TestCutAnswers:
    KEPT = failed(stored(U1, assistant("One is")), 2, cut=True)

    @pytest.mark.parametrize("seen", ["One is", "One", "One is the first"])
    def test_the_client_may_have_seen_less_or_more(self, seen):
        assert told(self.KEPT, U1, assistant(seen), U2) == [U1, assistant("One is"), U2]

    def test_the_client_may_have_dropped_it(self):
        assert told(self.KEPT, U1, U2) == [U1, assistant("One is"), U2]

    def test_an_answer_from_elsewhere_takes_its_place(self):
        assert told(self.KEPT, U1, assistant("Eins."), U2) == [U1, assistant("Eins."), U2]

    def test_a_window_may_begin_with_it(self):
        assert told(self.KEPT, assistant("One i"), U2) == [U1, assistant("One is"), U2]

    def test_an_empty_answer_may_be_left_out_or_sent(self):
        kept = stored(U1, assistant(""), U2, A2)
        assert told(kept, U1, U2, A2, U3) == [U1, assistant(""), U2, A2, U3]
        assert told(kept, U1, assistant(" "), U2, A2, U3) == [U1, assistant(""), U2, A2, U3]


class TestSameness:
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
    def test_is_not_a_matter_of_form(self, ours, theirs):
        assert told(stored(U1, ours), U1, theirs, U2) == [U1, ours, U2]

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
    def test_is_a_matter_of_substance(self, ours, theirs):
        assert told(stored(U1, ours), U1, theirs, U2) == [U1, theirs, U2]

    def test_a_picture_makes_a_difference(self):
        cat, dog = (Message("user", (ImagePart("image/png", data),)) for data in ("Y2F0", "ZG9n"))
        assert told(stored(cat, A1), cat, A1, U2) == [cat, A1, U2]
        assert told(stored(cat, A1), dog, A1, U2) == [dog, A1, U2]


class TestToolResults:
    CALLS = Message("assistant", tool_calls=(ToolCall("c1", "f", "{}"), ToolCall("c2", "g", "{}")))
    RESULTS = (Message("tool", "1", tool_call_id="c1"), Message("tool", "2", tool_call_id="c2"))

    def test_all_results_of_a_turn_are_new_together(self):
        result = reconcile(stored(U1, self.CALLS), [U1, self.CALLS, *self.RESULTS])
        assert result.new == self.RESULTS
        assert result.replaced == ()

    def test_results_alone_are_added(self):
        assert told(stored(U1, self.CALLS), *self.RESULTS) == [U1, self.CALLS, *self.RESULTS]

    def test_results_with_a_question_behind_are_added(self):
        sent = [U1, self.CALLS, *self.RESULTS, U2]
        result = reconcile(stored(U1, self.CALLS), sent)
        assert (result.replaced, result.new) == ((), (*self.RESULTS, U2))

    def test_results_behind_a_window_are_added(self):
        kept = stored(U1, A1, U2, self.CALLS)
        assert told(kept, self.CALLS, *self.RESULTS, U3) == [U1, A1, U2, self.CALLS, *self.RESULTS, U3]

    def test_changed_results_replace_the_old_ones(self):
        other = Message("tool", "3", tool_call_id="c1")
        kept = stored(U1, self.CALLS, *self.RESULTS, A1)
        sent = [U1, self.CALLS, other, self.RESULTS[1], A1, U2]
        assert told(kept, *sent) == sent


def test_an_assistant_message_at_the_very_end_is_passed_on():
    begun = assistant("Two begins with")
    assert told(stored(U1, A1), U1, A1, U2, begun) == [U1, A1, U2, begun]


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
