"""A provider as strict as the strictest: it answers 400 to every conversation that any real one refuses.

The chat templates of Mistral and Gemma (vLLM, llama.cpp) refuse roles that do not alternate; OpenAI, Mistral
and Anthropic refuse calls and results without each other and empty messages; Gemini and many templates parse
the arguments of calls.
"""

from __future__ import annotations

import json
from typing import Any

from tests.support.provider import ScriptedProvider, Step, respond


class StrictProvider(ScriptedProvider):
    def script_for(self, body: dict[str, Any], headers: dict[str, str]) -> list[Step]:
        script = super().script_for(body, headers)
        why = refusal(body["messages"])
        return script if why is None else [respond(400, {"error": {"message": why}})]


def refusal(messages: list[dict[str, Any]]) -> str | None:
    """Why a strict provider refuses the conversation; None if it does not."""
    rest = messages[1:] if messages[0]["role"] == "system" else messages
    before, waiting = "", list[str]()
    for message in rest:
        role, calls = message["role"], message.get("tool_calls") or []
        if role == "tool":
            if message["tool_call_id"] not in waiting:
                return "Unexpected tool call id in tool results"
            waiting.remove(message["tool_call_id"])
            before = role
            continue
        if waiting:
            return f"Not the same number of function calls and responses: {waiting}"
        if role == before:
            return "Conversation roles must alternate user/assistant/user/assistant/..."
        if role == "assistant" and not calls and not str(message["content"] or "").strip():
            return "Assistant message must have either content or tool_calls"
        for call in calls:
            if not _is_object(call["function"]["arguments"]):
                return "Invalid function call arguments"
        waiting, before = [call["id"] for call in calls], role
    return f"No results for {waiting}" if waiting else None


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False
