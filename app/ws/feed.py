"""Tells connections what happens in runs, whoever started them, and remembers how they ended."""

from __future__ import annotations

import time
from typing import Any

from app.concurrency.background import spawn
from app.events.types import RunFailed, RunFinished, TextDelta
from app.runs.ledger import Entry, Ledger
from app.runs.run import Run
from app.ws.connections import Connections
from app.ws.encoder import RunEncoder, Told
from app.ws.frames import EventFrame


class Feed:
    """Follows each run from its start, on a greenlet of its own, while there is anybody to tell."""

    def __init__(self, connections: Connections, ledger: Ledger) -> None:
        self._connections = connections
        self._ledger = ledger

    def run_started(self, run: Run) -> None:
        """A listener of `RunService`."""
        if len(self._connections):
            spawn(self._follow, run, self._ledger.open(run))

    def _follow(self, run: Run, entry: Entry) -> None:
        encoder = RunEncoder(run.id, run.agent.id, run.session_key)
        text: list[str] = []
        for batch in run.follow():
            text += [event.text for event in batch if isinstance(event, TextDelta)]
            for told in encoder.encode(batch):
                self._tell(run, told)
        self._end(run, entry, "".join(text))

    def _tell(self, run: Run, told: Told) -> None:
        starter = run.request.origin
        audience = self._connections.audience(run.session_key, starter)
        cap = told.only_starter_with
        if cap is not None:
            audience = [one for one in audience if one is starter and one.has_cap(cap)]
        if audience:
            frame = EventFrame(told.event, told.payload)
            for connection in audience:
                connection.tell(frame, droppable=told.droppable)

    def _end(self, run: Run, entry: Entry, text: str) -> None:
        match run.log.end:
            case RunFailed(error):
                entry.end({"runId": run.id, "status": "error", "summary": error.message}, error)
            case RunFinished() as end:
                entry.end(summarize(run, end, text), None)


def summarize(run: Run, end: RunFinished, text: str) -> dict[str, Any]:
    """The last response to an `agent` request (contract, WebSocket section 4.1)."""
    provider, _, model = (run.model or "").partition("/")
    usage = end.usage
    agent_meta = {
        "sessionId": run.session_key,
        "provider": provider,
        "model": model,
        "usage": {
            "input": usage.prompt_tokens,
            "output": usage.completion_tokens,
            "total": usage.total_tokens,
            "estimated": usage.estimated,
        },
    }
    duration = int((time.time() - run.started_at) * 1000)
    meta = {"durationMs": duration, "stopReason": end.reason, "agentMeta": agent_meta}
    payloads = [{"text": text, "mediaUrl": None}] if text else []
    result = {"payloads": payloads, "meta": meta}
    return {"runId": run.id, "status": "ok", "summary": "completed", "result": result}
