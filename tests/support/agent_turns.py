"""Turns of a model that calls tools, for the scripted provider; and what an agent was told."""

from __future__ import annotations

import json
from typing import Any

from tests.support.provider import ScriptedProvider, Step, done, finish, text, tool_call, usage


def calls(
    name: str, arguments: dict[str, Any] | str, call_id: str = "call_1", before: str = ""
) -> list[Step]:
    """A model's turn that calls one tool, after some text."""
    written = arguments if isinstance(arguments, str) else json.dumps(arguments)
    said = [text(before)] if before else []
    return [*said, tool_call(0, call_id, name, written), finish("tool_calls"), usage(10, 5), done()]


def result(provider: ScriptedProvider, number: int = -1) -> Any:
    """The newest tool result that a request to the model has: JSON, also within marks of untrusted text."""
    return parsed(provider.requests[number]["messages"][-1]["content"])


def parsed(content: str) -> Any:
    if content.startswith("<<<EXTERNAL"):
        content = content.split("\n---\n", 1)[1].rsplit("\n<<<END", 1)[0]
    return json.loads(content)
