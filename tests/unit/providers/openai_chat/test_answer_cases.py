"""Whole provider answers, from the bytes on the wire to the run's outcome."""

from __future__ import annotations

from typing import Any

import pytest

from app.agents.turn import MemoryBudget, Turn, run_turn
from app.cancel import Cancel
from app.config.settings import ProviderSettings, ProviderTimeouts
from app.errors import GatewayError
from app.http.errors import HTTP_ERRORS, envelope
from app.messages import Message
from app.providers.base import ModelCall
from app.providers.openai_chat.provider import OpenAIChatProvider
from tests.support.provider_answers import EACH_CASE, Outcome
from tests.support.raw_provider import RawProvider, sends

CALL = ModelCall("m", (Message("user", "hi"),))


def outcome_of(*pieces: bytes) -> Outcome:
    """What becomes of an answer that the provider sends in these pieces."""
    with RawProvider(sends(*pieces)) as raw:
        settings = ProviderSettings("test", base_url=raw.url, timeouts=ProviderTimeouts(5, 5, 5, 5))
        provider = OpenAIChatProvider(settings)
        turn = Turn(MemoryBudget(2**20))
        try:
            for _ in run_turn(turn, CALL, provider.stream(CALL, Cancel())):
                pass
        except GatewayError as error:
            return Outcome(error=envelope(error)["error"], status=HTTP_ERRORS[error.code].status)
        finally:
            provider.close()
    return Outcome(
        turn.text,
        turn.reason,
        [(one.name, one.arguments) for one in turn.tool_calls],
        usage={"prompt_tokens": turn.usage.prompt_tokens, "completion_tokens": turn.usage.completion_tokens},
        data=(turn.refusal or "").encode(),
    )


@EACH_CASE
def test_each_answer_is_understood(case: dict[str, Any]):
    outcome = outcome_of(case["wire"].encode("latin-1"))
    assert outcome.is_right(case["right"]), outcome


@pytest.mark.parametrize("size", [1, 7])
@EACH_CASE
def test_each_answer_is_understood_in_small_pieces(case: dict[str, Any], size: int):
    wire = case["wire"].encode("latin-1")
    outcome = outcome_of(*(wire[at : at + size] for at in range(0, len(wire), size)))
    assert outcome.is_right(case["right"]), outcome
