"""Counts runs and their model calls in `app.metrics`."""

from __future__ import annotations

from app.errors import ProviderError
from app.events.types import RunFailed, RunFinished
from app.metrics import Metrics
from app.providers.registry import Candidate
from app.runs.run import Run
from app.tools.catalogue import MCP_SEPARATOR


class RunMeter:
    """`failed_call` is called with each failed model call, `ended` with each run that has ended."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def failed_call(self, candidate: Candidate, error: ProviderError) -> None:
        self._metrics.provider_errors.add(candidate.provider.name, error.code)

    def ended(self, run: Run) -> None:
        metrics = self._metrics
        outcome = _outcome(run)
        metrics.runs.add(run.agent.id, run.request.source, outcome)
        usage = run.log.end.usage if isinstance(run.log.end, RunFinished) else run.answer.usage
        metrics.tokens.add("prompt", amount=usage.prompt_tokens)
        metrics.tokens.add("completion", amount=usage.completion_tokens)
        for use in run.tools_used:
            name = tool_label(use.name)
            metrics.tool_calls.add(name, "failed" if use.failed else "done")
            metrics.tool_seconds.observe(use.seconds, name)
        if run.dequeued_at is not None:
            metrics.queue_seconds.observe(run.dequeued_at - run.accepted_at)
        if run.first_output_at is not None:
            metrics.first_token.observe(run.first_output_at - run.accepted_at)
        if run.ended_at is not None:
            metrics.run_seconds.observe(run.ended_at - run.accepted_at, outcome)


def tool_label(name: str) -> str:
    """The name of a tool in metrics. A server may have any number of tools: they share one."""
    server, is_served, _ = name.partition(MCP_SEPARATOR)
    return f"{server}{MCP_SEPARATOR}*" if is_served else name


def _outcome(run: Run) -> str:
    match run.log.end:
        case RunFinished():
            return "finished"
        case RunFailed(aborted=True):
            return "aborted"
        case _:
            return "failed"
