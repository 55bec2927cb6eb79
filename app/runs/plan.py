"""What a run is to have: the models that may answer it, and the tools."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from app.config.agent_settings import AgentSettings
from app.config.settings import Settings
from app.providers.registry import Candidate
from app.tools.registry import Selection, Toolbox


class RunPlan(msgspec.Struct, frozen=True):
    """Decided when a run is accepted, and again when it leaves the queue if `settings` have changed since.

    `is_small`: the first model is too small for tools, and has some only if a call of one is forced.
    `offers_tools`: whether the model is offered the agent's tools.
    """

    settings: Settings
    agent: AgentSettings
    candidates: Sequence[Candidate]
    chosen: Selection
    toolbox: Toolbox
    is_small: bool
    offers_tools: bool

    def has_same_prompt(self, other: RunPlan) -> bool:
        """Whether all is the same that goes into a system prompt, for the same choice of agent and model."""
        return (
            self.agent is other.agent
            and self.toolbox is other.toolbox
            and self.offers_tools is other.offers_tools
        )
