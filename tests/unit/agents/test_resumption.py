"""What becomes of calls that a dead worker had not brought to an end."""

from __future__ import annotations

from typing import Any

import pytest

from app.agents.answer import Answer
from app.agents.resumption import NOT_MADE, restore, settle
from app.agents.tool_calls import AgentTools
from app.messages import Message, ToolCall, Usage
from app.sessions.orphans import INTERRUPTED


class FakeTool:
    def __init__(self, *, is_parallel: bool = False, only_reads: bool = False) -> None:
        self.is_parallel, self.only_reads = is_parallel, only_reads


class FakeTools:
    """Those of a run: which calls are made is remembered."""

    READ = FakeTool(is_parallel=True, only_reads=True)
    WRITE = FakeTool()

    def __init__(self) -> None:
        self.made: list[str] = []
        self.events: list[Any] = []
        self.context = self

    def publish(self, event: Any) -> None:
        self.events.append(event)

    def find(self, name: str) -> FakeTool | None:
        return {"read": self.READ, "write": self.WRITE}.get(name)

    def run(self, calls: Any, keep: Any) -> None:
        for call in calls:
            self.made.append(call.id)
            keep(call, Message("tool", "made", tool_call_id=call.id, name=call.name))


def settled(*names: str, done: int = 0, not_made: tuple[str, ...] = ()) -> tuple[list[str], list[str]]:
    """Which of a turn's calls are made again, and the texts of all new results. The first `done` have one."""
    calls = tuple(ToolCall(f"{place}", name, "{}") for place, name in enumerate(names))
    steps: list[Any] = [(Message("assistant", "Hm.", calls), "step")]
    steps += [(Message("tool", "ok", tool_call_id=call.id, name=call.name), "step") for call in calls[:done]]
    answer, tools = Answer(1_000_000), FakeTools()
    restore(answer, steps, Usage(3, 4), "p/m", lambda name: name != "client")
    assert (answer.usage, answer.model, answer.saved, answer.text) == (Usage(3, 4), "p/m", len(steps), "Hm.")
    texts: list[str] = []
    given: Any = tools
    used: AgentTools = given
    settle(used, answer, lambda _call, result: texts.append(result.text), frozenset(not_made))
    return tools.made, texts


@pytest.mark.parametrize(
    ("names", "more", "made", "texts"),
    [
        (["write"], {"done": 1}, [], []),
        (["read", "read"], {}, ["0", "1"], ["made", "made"]),
        (["write"], {}, [], [INTERRUPTED]),
        (["write"], {"not_made": ("0",)}, ["0"], ["made"]),
        (["write", "write", "read"], {}, [], [INTERRUPTED, NOT_MADE, NOT_MADE]),
        (["write", "write"], {"done": 1}, [], [INTERRUPTED]),
        (["read", "write"], {}, ["0", "1"], ["made", "made"]),
        (["gone"], {}, [], [INTERRUPTED]),
        (["client"], {}, [], []),
    ],
)
def test_only_what_had_no_effect_is_made_again(
    names: list[str], more: dict[str, Any], made: list[str], texts: list[str]
):
    assert settled(*names, **more) == (made, texts)
