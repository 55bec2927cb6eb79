"""Where a run is, as data of `agent` events (docs/websocket.md#runs). Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from app.clock import now_ms
from app.events.types import (
    Event,
    ModelEvent,
    ModelFinished,
    RunFailed,
    RunFinished,
    RunStarted,
    ToolReturned,
)
from app.model_name import ModelName


class Lifecycle:
    """That of one run. `asks_model`: the next event of a model is the first one of its answer."""

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self._started_at: int | None = None
        self._requested: str | None = None
        self._effective: str | None = None
        self.asks_model = False

    def model(self, event: Event) -> Iterator[dict[str, Any]]:
        """The phase that begins with the first event of an answer. To be asked while `asks_model`."""
        if isinstance(event, ModelEvent):
            self.asks_model = False
            yield {"phase": "model", **_model(self._effective or self._requested)}

    def encode(self, event: Event, tools: Collection[str]) -> Iterator[dict[str, Any]]:
        """The other phases that an event begins; mostly none. `tools` are those that have done their work."""
        match event:
            case RunStarted(started_at=started_at, model=model):
                self._started_at, self._requested = int(started_at * 1000), model
                self.asks_model = model is not None
                yield {"phase": "start", "startedAt": self._started_at}
            case ModelFinished(model=model):
                self._effective = model
            case ToolReturned():
                self.asks_model = self._requested is not None
            case RunFinished(reason=reason):
                yield from self._end(reason, tools, aborted=False)
            case RunFailed(aborted=True):
                yield from self._end("rpc", tools, aborted=True)
            case RunFailed(message=message):
                yield {"phase": "error", "error": message, **self._times()}

    def _end(self, reason: str, tools: Collection[str], *, aborted: bool) -> Iterator[dict[str, Any]]:
        how = {**self._times(), "aborted": aborted, "stopReason": reason}
        yield {"phase": "finishing", **how}
        effective = self._effective or self._requested
        receipt = {
            "runId": self._run_id,
            "turnId": self._run_id,
            "requested": _model(self._requested),
            "effective": _model(effective),
            "successfulToolNames": list(tools),
            "rerouted": effective != self._requested,
            "terminalDisposition": "aborted" if aborted else "completed",
        }
        yield {"phase": "end", **how, "executionSettled": True, "terminalReceipt": receipt}

    def _times(self) -> dict[str, Any]:
        started = {} if self._started_at is None else {"startedAt": self._started_at}
        return {**started, "endedAt": now_ms()}


def _model(name: str | None) -> dict[str, str | None]:
    if name is None:
        return {"provider": None, "model": None}
    provider, model = ModelName.parse(name)
    return {"provider": provider, "model": model}
