"""tests/cases/provider-answers*.jsonl: provider answers as bytes on the wire, and what is right for each.

`right` is a condition on what became of the answer (`Outcome`, there called `a`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from app.http.errors import HTTP_ERRORS
from tests.support.gateway import Answer

FOLDER = Path(__file__).resolve().parents[1] / "cases"
LINES = [
    line for path in sorted(FOLDER.glob("provider-answers*.jsonl")) for line in path.read_text().splitlines()
]
CASES = [json.loads(line) for line in LINES]
EACH_CASE = pytest.mark.parametrize("case", CASES, ids=[f"{one['kind']}: {one['case']}" for one in CASES])


@dataclass
class Outcome:
    """An answer as the caller of the gateway has it; `data` is all of it, `calls` are (name, arguments)."""

    text: str = ""
    finish: str | None = None
    calls: list[tuple[str, str]] = field(default_factory=list)
    error: dict[str, Any] | None = None
    usage: dict[str, int] = field(default_factory=dict)
    status: int = 200
    data: bytes = b""

    def is_right(self, condition: str) -> bool:
        return bool(eval(condition, {"a": self}))  # the conditions are our own test data


def outcome_of(answer: Answer) -> Outcome:
    """Of an answer that was not streamed."""
    if answer.status != 200:
        return Outcome(error=answer.error, status=answer.status, data=answer.body)
    choice = answer.json["choices"][0]
    calls = [one["function"] for one in choice["message"].get("tool_calls", ())]
    return Outcome(
        choice["message"]["content"] or "",
        choice["finish_reason"],
        [(one["name"], one["arguments"]) for one in calls],
        usage=answer.json["usage"],
        data=answer.body,
    )


def outcome_of_stream(answer: Answer) -> Outcome:
    """Of an answer that was streamed. Its status is the one that its error would have had unstreamed."""
    outcome, calls = Outcome(), dict[int, dict[str, str]]()
    for event in answer.events()[:-1]:
        if "error" in event:
            outcome.error = event["error"]
            outcome.status = HTTP_ERRORS[event["error"]["code"] or "invalid_request"].status
            continue
        outcome.usage = event.get("usage") or outcome.usage
        for choice in event["choices"]:
            delta = choice["delta"]
            outcome.text += delta.get("content", "")
            outcome.data += delta.get("refusal", "").encode()
            outcome.finish = choice["finish_reason"] or outcome.finish
            for call in delta.get("tool_calls", ()):
                known = calls.setdefault(call["index"], {"name": "", "arguments": ""})
                known["name"] = known["name"] or call["function"].get("name", "")
                known["arguments"] += call["function"]["arguments"]
    outcome.calls = [(one["name"], one["arguments"]) for _, one in sorted(calls.items())]
    return outcome
