"""A run's two log lines: its start, so that a run that hangs can be seen while it does, and its end."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from app.events.types import RunFailed, RunFinished
from app.logs.lines import log_event
from app.runs.run import Run, ToolUse

logger = logging.getLogger("app.runs")

MAX_TOOLS = 30  # calls that a line names


def log_start(run: Run) -> None:
    log_event(
        logger,
        logging.INFO,
        "run started",
        run_id=run.id,
        agent=run.agent.id,
        session_key=run.session_key,
        source=run.request.source,
        request_id=run.request.request_id,
    )


def log_end(run: Run) -> None:
    """Log the end, unless the run finished and its transport logs that (`RunRequest.log_finish`)."""
    end = run.log.end
    if isinstance(end, RunFailed):
        message = "run aborted" if end.aborted else "run failed"
    elif not run.log_finish:
        return
    else:
        message = "run finished"
    log_event(logger, logging.INFO, message, **describe_end(run))


def describe_end(run: Run) -> dict[str, Any]:
    """What is known of a run, as fields of a log line: times in milliseconds since its acceptance, tokens."""
    fields: dict[str, Any] = {
        "run_id": run.id,
        "agent": run.agent.id,
        "session_key": run.session_key,
        "model": run.model,
        "queue_ms": _since(run, run.dequeued_at),
        "first_token_ms": _since(run, run.first_output_at),
        "total_ms": _since(run, run.ended_at),
    }
    end = run.log.end
    if isinstance(end, RunFinished):
        fields["finish_reason"] = end.reason
        fields["prompt_tokens"] = end.usage.prompt_tokens
        fields["completion_tokens"] = end.usage.completion_tokens
    elif isinstance(end, RunFailed):
        fields["code"] = end.code
        fields["error"] = end.message
    if run.tools_used:
        fields["tools"] = describe_tools(run.tools_used)
    return fields


def describe_tools(used: Sequence[ToolUse]) -> str:
    """Such as `read 12 ms, exec 3400 ms (failed)`, in the order in which the calls ended."""
    told = [f"{one.name} {one.seconds * 1000:.0f} ms{' (failed)' if one.failed else ''}" for one in used]
    more = len(told) - MAX_TOOLS
    return ", ".join([*told[:MAX_TOOLS], f"{more} more"] if more > 0 else told)


def _since(run: Run, moment: float | None) -> float | None:
    return None if moment is None else round((moment - run.accepted_at) * 1000, 1)
