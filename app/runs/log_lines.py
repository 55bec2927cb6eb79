"""A run's two log lines: that it has started, for one that hangs must be seen while it does, and its end."""

from __future__ import annotations

import logging
from typing import Any

from app.events.types import RunFailed, RunFinished
from app.logs.lines import log_event
from app.runs.run import Run

logger = logging.getLogger("app.runs")


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
    """Of a run that went well there is no such line if the answer to its request makes one of its own."""
    end = run.log.end
    if isinstance(end, RunFailed):
        message = "run aborted" if end.aborted else "run failed"
    elif run.told_with_answer:
        return
    else:
        message = "run finished"
    log_event(logger, logging.INFO, message, **describe_end(run))


def describe_end(run: Run) -> dict[str, Any]:
    """What is known of a run that has ended, as a line's fields: times in milliseconds, and tokens."""
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
        fields["code"] = end.error.code
        fields["error"] = end.error.message
    return fields


def _since(run: Run, moment: float | None) -> float | None:
    return None if moment is None else round((moment - run.accepted_at) * 1000, 1)
