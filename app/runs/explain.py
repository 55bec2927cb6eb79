"""What an agent would be given for a run, and why: for operators who wonder. No model is called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from app.agents.prompt import with_instructions
from app.runs.plan import RunPlan
from app.runs.prompts import SystemPrompts
from app.tools.registry import Toolbox, ToolRegistry

TOO_SMALL = "the model is too small to choose tools: it has one only if `tool_choice` demands it"
HTTP = "http"


class Explanation(msgspec.Struct, frozen=True):
    """`tools` are those that the model is offered, `absent` the others, each with the reason; `not_over_http`
    those of `tools` that a run asked for over HTTP has not.
    """

    agent_id: str
    model: str
    prompt: str
    tools: Mapping[str, str]
    absent: Mapping[str, str]
    not_over_http: Mapping[str, str]

    def dump(self) -> dict[str, Any]:
        """As JSON for clients (docs/agents.md#what-an-agent-is-given)."""
        return {
            "agentId": self.agent_id,
            "model": self.model,
            "systemPrompt": {"text": self.prompt, "chars": len(self.prompt)},
            "tools": [{"name": name, "why": why} for name, why in self.tools.items()],
            "absent": [{"name": name, "why": why} for name, why in self.absent.items()],
            "notOverHttp": [{"name": name, "why": why} for name, why in self.not_over_http.items()],
        }


def explain(plan: RunPlan, registry: ToolRegistry, prompts: SystemPrompts) -> Explanation:
    """What a run with that plan would be given."""
    toolbox, rules = plan.toolbox, registry.rules(plan.chosen)
    offered = {name: rules.why(name) for name in toolbox.tools} if plan.offers_tools else {}
    absent = dict(toolbox.absent)
    if plan.is_small and not plan.offers_tools:
        absent |= dict.fromkeys(toolbox.tools, TOO_SMALL)
    over_http = registry.select(msgspec.structs.replace(plan.chosen, surface=HTTP), wait=False)
    return Explanation(
        plan.agent.id,
        plan.candidates[0].name,
        with_instructions(prompts.prompt(plan), None) or "",
        offered,
        absent,
        _missing(offered, over_http),
    )


def _missing(offered: Mapping[str, str], toolbox: Toolbox) -> dict[str, str]:
    return {name: toolbox.absent.get(name, "") for name in offered if name not in toolbox.tools}
