"""Events survive a round trip through bytes."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import GatewayError, UpstreamRateLimited
from app.events.codec import dump_event, load_event
from app.events.errors import error_from_code
from app.events.types import (
    ApprovalRequested,
    ApprovalResolved,
    Event,
    ExtraDelta,
    ModelFinished,
    ReasoningDelta,
    RefusalDelta,
    RunFailed,
    RunFinished,
    RunStarted,
    TextDelta,
    ToolCallDelta,
    ToolCalled,
    ToolReturned,
    ToolUpdated,
)
from app.messages import Extra, ToolCall, Usage

EXAMPLES = (
    RunStarted("run_1", "main", "agent:main:x", 1.5, "connection-1"),
    TextDelta("Grüße 🦀"),
    ReasoningDelta("hm"),
    RefusalDelta("No."),
    ToolCallDelta(1, "call_1", "clock", '{"a":'),
    ToolCallDelta(1, extra=Extra({"extra_content": {"google": {"thought_signature": "s"}}}, "google")),
    ExtraDelta(Extra({"reasoning_content": "hm", "reasoning_details": [{"text": "hm"}]}, "deepseek")),
    ToolCalled(ToolCall("call_1", "clock", "{}")),
    ToolUpdated("call_1", "clock", "no"),
    ToolReturned("call_1", "clock", "noon", is_error=True, details={"exitCode": 1}, seconds=0.5),
    ApprovalRequested("a1", "call_1", {"id": "a1", "status": "pending"}),
    ApprovalResolved("a1", "call_1", "deny"),
    ModelFinished("stop", Usage(1, 2, 3, 4, estimated=True), "fake/m"),
    ModelFinished("length"),
    RunFinished("tool_calls", Usage(1, 2), (ToolCall("call_1", "clock", "{}"),)),
    RunFailed("timeout", "too slow", "model", 1.5, aborted=True, usage=Usage(3)),
)


def test_every_kind_of_event_has_an_example():
    assert {type(event) for event in EXAMPLES} == set(get_args(Event))


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: type(event).__name__)
def test_a_round_trip(event: Event):
    assert load_event(dump_event(event)) == event


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_round_trip_of_any_text(text: str):
    assert load_event(dump_event(TextDelta(text))) == TextDelta(text)


def test_an_unknown_event_is_an_error():
    with pytest.raises(ValueError, match="not an event"):
        load_event(b"\x81\xa4type\xa4what")
    with pytest.raises(ValueError, match="not an event"):
        load_event(b"")


def test_a_failure_carries_its_error():
    error = UpstreamRateLimited("slow down", retry_after=2.0)
    failed = load_event(dump_event(RunFailed.of(error)))
    assert isinstance(failed, RunFailed)
    again = failed.as_error()
    assert (type(again), again.message, again.retry_after) == (UpstreamRateLimited, "slow down", 2.0)
    assert again.retries == 2  # type: ignore[attr-defined]


def all_errors() -> list[type[GatewayError]]:
    found = [GatewayError]
    for cls in found:
        found += cls.__subclasses__()
    return found


@pytest.mark.parametrize("code", sorted({cls.code for cls in all_errors()}))
def test_every_code_becomes_an_error_with_that_code(code: str):
    error = error_from_code(code, "why", param="p", retry_after=1)
    assert (error.code, error.message, error.param, error.retry_after) == (code, "why", "p", 1)


def test_an_unknown_code_is_an_internal_error():
    assert error_from_code("from_the_future", "why").code == "internal_error"
