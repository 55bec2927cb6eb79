"""Turns what runs tell into the numbers of `app.metrics`."""

from __future__ import annotations

from app.errors import ProviderError
from app.events.types import RunFailed, RunFinished
from app.metrics import Metrics
from app.providers.registry import Candidate
from app.runs.run import Run


class RunMeter:
    """`failed_call` hears of each failed model call, `ended` of each run that has ended."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def failed_call(self, candidate: Candidate, error: ProviderError) -> None:
        self._metrics.provider_errors(candidate.provider.name, error.code).inc()

    def ended(self, run: Run) -> None:
        metrics = self._metrics
        outcome = _outcome(run)
        metrics.runs(run.agent.id, run.request.source, outcome).inc()
        if isinstance(run.log.end, RunFinished):
            metrics.tokens("prompt").inc(run.log.end.usage.prompt_tokens)
            metrics.tokens("completion").inc(run.log.end.usage.completion_tokens)
        for moment, histogram in (
            (run.entered_at, metrics.queue_seconds),
            (run.spoke_at, metrics.first_token),
            (run.ended_at, metrics.run_seconds(outcome)),
        ):
            if moment is not None:
                histogram.observe(moment - run.accepted_at)


def _outcome(run: Run) -> str:
    match run.log.end:
        case RunFinished():
            return "finished"
        case RunFailed(aborted=True):
            return "aborted"
        case _:
            return "failed"
