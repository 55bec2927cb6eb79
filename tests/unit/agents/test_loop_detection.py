"""Which calls are a loop, and which are work."""

from __future__ import annotations

from collections.abc import Iterable

from app.agents.loop_detection import MAX_UNKNOWN, STOP, WARN, LoopDetector
from app.messages import ToolCall


def call(name: str = "read", arguments: str = '{"path": "a"}') -> ToolCall:
    return ToolCall("c", name, arguments)


def play(steps: Iterable[tuple[ToolCall, str]], *, exists: bool = True) -> tuple[list[int], str | None, int]:
    """The numbers of the calls with a note (from 1), why the agent was stopped, and how many were made."""
    detector, noted = LoopDetector(), list[int]()
    made = 0
    for one, result in steps:
        if (why := detector.stop_before([one])) is not None:
            return noted, why, made
        made += 1
        if detector.warn_after(one, result, exists=exists):
            noted.append(made)
    return noted, None, made


def test_identical_calls_are_noted_and_then_stopped():
    noted, why, made = play([(call(), "same")] * 50)
    assert noted == [WARN]
    assert why == f"`read` was called with the same arguments {STOP} times."
    assert made == STOP - 1


def test_they_are_stopped_whatever_they_return():
    assert play((call("exec", "{}"), str(number)) for number in range(50))[2] == STOP - 1


def test_the_form_of_the_arguments_makes_no_difference():
    forms = ['{"a": 1, "b": 2}', '{"b":2,"a":1}'] * 25
    assert play((call(arguments=one), "") for one in forms)[2] == STOP - 1


def test_other_arguments_are_another_call():
    assert play((call(arguments=f'{{"offset": {number}}}'), "") for number in range(100)) == ([], None, 100)


def test_malformed_arguments_can_be_repeated_too():
    assert play([(call(arguments='{"a": '), "error")] * 50)[2] == STOP - 1


def test_calls_that_bring_something_new_between_others_are_work():
    """A test suite is run again after each change."""
    rounds = range(40)
    steps = [
        step
        for number in rounds
        for step in (
            (call("edit", f'{{"edits": [{number}]}}'), "ok"),
            (call("exec", '{"command": "make test"}'), f"{40 - number} failed"),
        )
    ]
    assert play(steps) == ([], None, 80)


def test_between_others_the_same_result_again_is_a_loop():
    steps = [
        step
        for number in range(40)
        for step in ((call("edit", f"[{number}]"), "ok"), (call("exec", "{}"), "1 failed"))
    ]
    assert play(steps)[1] == f"`exec` was called with the same arguments {STOP} times."


def test_polling_is_work_as_long_as_it_brings_something_new():
    poll = call("process", '{"action": "poll"}')
    assert play((poll, f"{number} %") for number in range(100)) == ([], None, 100)
    assert play([(poll, "nothing new")] * 50)[2] == STOP - 1


def test_two_calls_that_take_turns_are_stopped_before_each_is_for_itself():
    steps = [(call(arguments="[1]"), "one"), (call(arguments="[2]"), "two")] * 50
    noted, why, made = play(steps)
    assert noted[0] <= WARN + 2
    assert why == f"Two calls, the last one of `read`, took turns {STOP} times."
    assert made < 2 * STOP


def test_tools_that_do_not_exist():
    steps = ((call(f"guess_{number}"), "not found") for number in range(50))
    _, why, made = play(steps, exists=False)
    assert why == f"Tools that do not exist were called {MAX_UNKNOWN} times."
    assert made == MAX_UNKNOWN


def test_the_calls_of_one_turn_are_counted_together():
    assert LoopDetector().stop_before([call()] * STOP) is not None
    assert LoopDetector().stop_before([call()] * (STOP - 1)) is None
