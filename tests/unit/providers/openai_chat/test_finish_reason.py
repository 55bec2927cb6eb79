"""What servers say about why a model stopped, and that only a known good reason is a success."""

from __future__ import annotations

import pytest

from app.providers.openai_chat.finish_reason import read_finish_reason

GIVEN = {
    "stop": "stop STOP Stop stop_sequence end_turn endTurn eos eos_token COMPLETE "
    "FINISH_REASON_STOP stop-sequence",
    "length": "length MAX_TOKENS max_output_tokens maxTokens model_length max_length truncated "
    "model_context_window_exceeded FINISH_REASON_MAX_TOKENS token_limit",
    "content_filter": "content_filter SAFETY RECITATION BLOCKLIST PROHIBITED_CONTENT SPII IMAGE_SAFETY "
    "sensitive refusal guardrail_intervened content-filtered FINISH_REASON_SAFETY",
    "tool_calls": "tool_calls tool_call tool_use TOOL_USE function_call toolUse",
    "failure": "error ERROR abort aborted cancelled insufficient_system_resource network_error "
    "MALFORMED_FUNCTION_CALL UNEXPECTED_TOOL_CALL OTHER timeout whatever 停止 pause_turn failed",
    None: "null NULL None undefined FINISH_REASON_UNSPECIFIED",
}


@pytest.mark.parametrize(
    ("given", "meaning"), [(word, meaning) for meaning, words in GIVEN.items() for word in words.split()]
)
def test_each_wording_means_what_it_says(given: str, meaning: str | None):
    assert read_finish_reason(given) == meaning
