"""One model call that does not give up at once: when it is made again, by whom, and when not."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from app.agents import fallback as calls
from app.agents.fallback import call_model
from app.cancel import Cancel
from app.errors import (
    ContextLengthExceeded,
    GatewayError,
    InsufficientQuota,
    InvalidRequest,
    ProviderError,
    RunAborted,
    UpstreamError,
    UpstreamRateLimited,
    UpstreamTimeout,
    UpstreamTruncated,
    UpstreamUnavailable,
)
from app.events.types import ModelEvent, ModelFinished, ReasoningDelta, TextDelta, ToolCallDelta
from app.messages import Message
from app.providers.base import ModelCall
from app.providers.registry import Candidate
from tests.unit.agents.fake_provider import USED, FakeProvider, says

CALL = ModelCall("", (Message("user", "hi"),), {"temperature": 1})


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What was waited for; nothing really is."""
    waited: list[float] = []
    monkeypatch.setattr(Cancel, "sleep", lambda self, seconds: (waited.append(seconds), self.check()))
    return waited


def call(
    *providers: FakeProvider, cancel: Cancel | None = None, failed: list[Any] | None = None
) -> list[ModelEvent]:
    candidates = [Candidate(provider, f"m{number}") for number, provider in enumerate(providers)]
    heard: list[Any] = [] if failed is None else failed
    observe = lambda candidate, error: heard.append((candidate.name, error))  # noqa: E731
    return list(call_model(candidates, CALL, cancel or Cancel(), observe))


def failing(error: BaseException) -> FakeProvider:
    return FakeProvider(standing=[error])


# What a failure before any output is worth: how often the same model is asked in all, and whether the next
# one is.
MATRIX = [
    (UpstreamError("HTML", retries=0), 1, True),
    (UpstreamError("500", retries=2), 3, True),
    (UpstreamUnavailable("503"), 3, True),
    (UpstreamRateLimited("429"), 3, True),
    (UpstreamTruncated("cut"), 2, True),
    (UpstreamTimeout("silence"), 1, True),
    (InsufficientQuota("402"), 1, True),
    (InvalidRequest("400"), 1, False),
    (ContextLengthExceeded("too long"), 1, False),
    (ValueError("a fault"), 1, False),
]


@pytest.mark.parametrize(
    ("error", "times", "goes_on"), MATRIX, ids=lambda value: getattr(value, "code", None)
)
def test_how_often_a_failing_model_is_asked(error: Exception, times: int, goes_on: bool):
    first, second = failing(error), FakeProvider(says("hi"))
    if goes_on:
        assert call(first, second)[0] == TextDelta("hi")
        assert len(second.calls) == 1
    else:
        with pytest.raises(type(error)):
            call(first, second)
        assert second.calls == []
    assert len(first.calls) == times


@pytest.mark.parametrize(
    ("error", "times", "_goes_on"), MATRIX, ids=lambda value: getattr(value, "code", None)
)
def test_without_another_model_the_failure_is_told(error: Exception, times: int, _goes_on: bool):
    only = failing(error)
    with pytest.raises(type(error)) as caught:
        call(only)
    assert caught.value is error
    assert len(only.calls) == times


@pytest.mark.parametrize(
    "error", [error for error, times, _ in MATRIX if times > 1], ids=lambda error: error.code
)
def test_a_second_attempt_may_succeed(error: Exception):
    provider = FakeProvider([error], says("hi"))
    assert call(provider) == [TextDelta("hi"), ModelFinished("stop", USED, "fake/m0")]


@pytest.mark.parametrize("begun", [TextDelta("ha"), ReasoningDelta("hm"), ToolCallDelta(0, "c1", "up")])
@pytest.mark.parametrize(
    "error", [error for error, _, _ in MATRIX], ids=lambda error: getattr(error, "code", "")
)
def test_nothing_is_tried_again_once_something_was_said(begun: ModelEvent, error: Exception):
    first, second = FakeProvider([begun, error]), FakeProvider(says("never"))
    seen: list[ModelEvent] = []
    with pytest.raises(type(error)) as caught:  # noqa: PT012
        candidates = [Candidate(first, "a"), Candidate(second, "b")]
        for event in call_model(candidates, CALL, Cancel(), lambda *_: None):
            seen.append(event)
    assert caught.value is error
    assert seen == [begun]
    assert (len(first.calls), len(second.calls)) == (1, 0)


def test_when_all_fail_the_first_ones_failure_is_told():
    errors: list[ProviderError] = [UpstreamTimeout("a"), UpstreamError("b"), InsufficientQuota("c")]
    with pytest.raises(UpstreamTimeout, match="a"):
        call(*map(failing, errors))


def test_each_model_has_its_own_attempts_and_the_last_failure_of_the_first_counts():
    first = FakeProvider(
        [UpstreamTruncated("cut 1")],
        [UpstreamError("then 500", retries=2)],
        standing=[UpstreamTimeout("late")],
    )
    second = failing(UpstreamUnavailable("503"))
    with pytest.raises(UpstreamTimeout, match="late"):
        call(first, second)
    assert (len(first.calls), len(second.calls)) == (3, 3)


def test_each_is_asked_the_same_by_its_own_name():
    first, second = failing(UpstreamTimeout("late")), FakeProvider(says("hi"), name="other")
    assert call(first, second)[-1] == ModelFinished("stop", USED, "other/m1")
    assert [one.model for one in (*first.calls, *second.calls)] == ["m0", "m1"]
    assert first.calls[0].messages == second.calls[0].messages == CALL.messages
    assert second.calls[0].params == CALL.params


def test_every_failed_call_is_heard_of():
    failed: list[Any] = []
    first, second = (
        failing(UpstreamTruncated("cut")),
        FakeProvider([TextDelta("ha"), UpstreamError("no")], name="b"),
    )
    with pytest.raises(UpstreamError):
        call(first, second, failed=failed)
    assert [(name, error.code) for name, error in failed] == [
        ("fake/m0", "upstream_truncated"),
        ("fake/m0", "upstream_truncated"),
        ("b/m1", "upstream_error"),
    ]


def test_pauses_grow_and_differ(pauses: list[float]):
    for _ in range(20):
        with pytest.raises(UpstreamUnavailable):
            call(failing(UpstreamUnavailable("503")))
    first, second = pauses[::2], pauses[1::2]
    assert all(0.2 <= pause <= 0.3 for pause in first)
    assert all(0.4 <= pause <= 0.6 for pause in second)
    assert len(set(pauses)) > 20


@pytest.mark.parametrize(
    ("retry_after", "times", "waited"),
    [(0.0, 3, [0.0, 0.0]), (1.5, 3, [1.5, 1.5]), (4.9, 3, [4.9, 4.9]), (5.1, 1, []), (3600.0, 1, [])],
)
def test_the_provider_says_how_long_to_wait_but_never_beyond_the_time(
    pauses: list[float], retry_after: float, times: int, waited: list[float]
):
    error = UpstreamRateLimited("429", retry_after=retry_after)
    provider = failing(error)
    with pytest.raises(UpstreamRateLimited) as caught:
        call(provider)
    assert caught.value.retry_after == retry_after
    assert (len(provider.calls), pauses) == (times, waited)


def test_all_attempts_of_a_model_end_within_the_time(monkeypatch: pytest.MonkeyPatch):
    clock = itertools.count(0.0, 2.5)  # seconds pass at every look
    monkeypatch.setattr(calls.time, "monotonic", lambda: next(clock))
    provider = failing(UpstreamUnavailable("503"))
    with pytest.raises(UpstreamUnavailable):
        call(provider)
    assert len(provider.calls) == 2


def test_a_stopped_run_asks_nobody_again(pauses: list[float]):
    cancel, reason = Cancel(), RunAborted("stopped")
    provider = FakeProvider([lambda cancel: cancel.cancel(reason), UpstreamUnavailable("503")])
    with pytest.raises(RunAborted) as caught:
        call(provider, failing(UpstreamTimeout("late")), cancel=cancel)
    assert caught.value is reason
    assert len(provider.calls) == 1


def test_the_pause_after_a_broken_answer_is_short(pauses: list[float]):
    call(FakeProvider([UpstreamTruncated("cut")], says("hi")))
    assert len(pauses) == 1
    assert pauses[0] < 1


def test_errors_that_are_no_providers_are_no_failed_calls():
    failed: list[Any] = []
    with pytest.raises(GatewayError):
        call(failing(InvalidRequest("400")), failed=failed)
    assert failed == []
