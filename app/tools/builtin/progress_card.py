"""`progress_card`: the agent shows what it has done and what it still has to do."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from app.tools.base import Invocation, Tool, ToolError, ToolOutput, define_tool
from app.tools.parameters import Parameters

MAX_STEPS = 50


class PlanStep(msgspec.Struct, frozen=True):
    step: str
    status: Literal["pending", "in_progress", "completed"]


class ProgressCard(Parameters):
    markdown: Annotated[str, Meta(description="What to show, as Markdown.")] | None = None
    plan: (
        Annotated[list[PlanStep], Meta(description="The steps of the work.", max_length=MAX_STEPS)] | None
    ) = None


def progress_card() -> Tool:
    return define_tool(
        "progress_card",
        "Show the user the progress of longer work: a short text, a plan with the state of each step, or "
        "both. Each call replaces the card before it.",
        ProgressCard,
        _show,
        summary="show the progress of longer work",
        is_parallel=True,
    )


def _show(_: Invocation, given: ProgressCard) -> ToolOutput:
    if not given.markdown and not given.plan:
        raise ToolError("Give `markdown`, `plan`, or both.")
    plan = [{"step": one.step, "status": one.status} for one in given.plan or ()]
    return ToolOutput("The card is shown.", details={"markdown": given.markdown, "plan": plan})
