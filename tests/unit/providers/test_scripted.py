"""Scripts are played as written: text, tool calls, failures, pauses."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from app.cancel import Cancel
from app.config.settings import ProviderSettings
from app.errors import (
    ContextLengthExceeded,
    GatewayError,
    InsufficientQuota,
    InvalidRequest,
    RunAborted,
    UpstreamError,
    UpstreamRateLimited,
    UpstreamTimeout,
    UpstreamTruncated,
    UpstreamUnavailable,
)
from app.events.types import ModelEvent, ModelFinished, ReasoningDelta, TextDelta, ToolCallDelta
from app.messages import Message, Usage
from app.providers.base import ModelCall
from app.providers.scripted import ScriptedProvider

HI = (Message("system", "s"), Message("user", "hi"))


def provider(*steps: dict[str, Any], **scripts: Any) -> ScriptedProvider:
    return ScriptedProvider(ProviderSettings("test", api="scripted", scripts={"one": steps, **scripts}))


def play(*steps: dict[str, Any], messages: tuple[Message, ...] = HI) -> list[ModelEvent]:
    return list(provider(*steps).stream(ModelCall("one", messages), Cancel()))


def failure_of(*steps: dict[str, Any]) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        play(*steps)
    return caught.value


def test_text_and_reasoning_keep_their_order():
    assert play({"reasoning": "hm"}, {"text": "a"}, {"text": "b"}) == [
        ReasoningDelta("hm"),
        TextDelta("a"),
        TextDelta("b"),
        ModelFinished("stop"),
    ]


def test_an_empty_script_is_an_empty_answer():
    assert play() == [ModelFinished("stop")]


def test_placeholders_are_filled_in_but_not_those_in_the_users_message():
    messages = (Message("user", "old"), Message("assistant", "x"), Message("user", "{count}"))
    assert play({"text": "{last}/{count}/{other}"}, messages=messages)[0] == TextDelta("{count}/3/{other}")


def test_without_a_user_message_the_placeholder_is_empty():
    assert play({"text": "<{last}>{count}"}, messages=())[0] == TextDelta("<>0")


def test_tool_calls_are_numbered_and_end_the_answer_with_their_reason():
    events = play(
        {"toolCall": {"id": "call_x", "name": "upper", "arguments": {"text": "hi"}}},
        {"toolCall": {"name": "lower", "arguments": "{not json"}},
    )
    assert events == [
        ToolCallDelta(0, id="call_x", name="upper"),
        ToolCallDelta(0, arguments='{"text":"hi"}'),
        ToolCallDelta(1, id="call_2_1", name="lower"),
        ToolCallDelta(1, arguments="{not json"),
        ModelFinished("tool_calls"),
    ]


def test_finish_and_usage_are_in_the_last_event():
    events = play(
        {"usage": {"promptTokens": 7, "completionTokens": 3}}, {"finish": "length"}, {"text": "and so on"}
    )
    assert events == [TextDelta("and so on"), ModelFinished("length", Usage(7, 3))]


def test_optional_keys_of_a_step_may_be_missing():
    events = play({"toolCall": {"name": "now"}}, {"usage": {}})
    assert events[1:] == [ToolCallDelta(0, arguments="{}"), ModelFinished("tool_calls", Usage())]


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, InvalidRequest),
        (401, UpstreamError),
        (402, InsufficientQuota),
        (403, UpstreamError),
        (404, UpstreamError),
        (429, UpstreamRateLimited),
        (500, UpstreamError),
        (502, UpstreamError),
        (503, UpstreamUnavailable),
        (504, UpstreamTimeout),
    ],
)
def test_an_error_step_fails_as_a_provider_of_that_status_does(status: int, expected: type[GatewayError]):
    assert type(failure_of({"error": {"status": status, "message": "no"}})) is expected


def test_an_error_step_has_its_message_code_and_retry_after():
    assert failure_of({"error": {"status": 400, "message": "bad temperature"}}).message == "bad temperature"
    limited = failure_of({"error": {"status": 429, "message": "slow down", "retryAfter": 2.5}})
    assert limited.retry_after == 2.5
    assert "slow down" in limited.message
    too_long = {"status": 400, "message": "no", "code": "context_length_exceeded"}
    assert type(failure_of({"error": too_long})) is ContextLengthExceeded


def test_text_before_an_error_or_a_cut_is_delivered():
    for step, expected in (({"error": {"status": 500}}, UpstreamError), ({"cut": True}, UpstreamTruncated)):
        events = provider({"text": "half"}, step).stream(ModelCall("one", HI), Cancel())
        assert next(events) == TextDelta("half")
        with pytest.raises(expected):
            next(events)


def test_an_unknown_script_is_refused_with_the_names_of_all():
    with pytest.raises(InvalidRequest, match="The scripts are: one, other") as caught:
        list(provider(other=()).stream(ModelCall("nope", HI), Cancel()))
    assert caught.value.param == "model"


def test_a_pause_lasts_as_long_as_it_says():
    slept: list[float] = []

    class Sleepless(Cancel):
        def sleep(self, seconds: float) -> None:
            slept.append(seconds)

    events = list(provider({"pauseMs": 50}, {"text": "a"}).stream(ModelCall("one", HI), Sleepless()))
    assert slept == [0.05]
    assert events[0] == TextDelta("a")


@pytest.mark.parametrize("step", [{"hang": True}, {"pauseMs": 60_000}])
def test_pauses_end_at_once_when_the_run_is_cancelled(step: dict[str, Any]):
    cancel = Cancel()
    events = provider({"text": "a"}, step).stream(ModelCall("one", HI), cancel)
    next(events)
    stopper = threading.Timer(0.05, cancel.cancel, [RunAborted("stopped")])
    stopper.start()
    start = time.monotonic()
    with pytest.raises(RunAborted):
        next(events)
    assert time.monotonic() - start < 30
    stopper.join()
