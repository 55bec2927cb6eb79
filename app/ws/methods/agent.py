"""`agent` and `agent.wait`: a run for a caller who wants its result (contract, WebSocket section 4.1)."""

from __future__ import annotations

import time
from typing import Any

from app.concurrency.background import call_later
from app.messages import Message
from app.routing.operator import resolve_agent_route
from app.routing.resolve import Route
from app.runs.ledger import Entry, Ledger
from app.runs.request import RunRequest
from app.ws.call import LATER, Answer, Call, Handler
from app.ws.methods.attachments import user_content

DEFAULT_WAIT_MS = 30_000


class AgentMethods:
    """`ledger` remembers runs by their id, which is the caller's idempotency key."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def table(self) -> dict[str, Handler]:
        return {"agent": self.run, "agent.wait": self.wait}

    def run(self, call: Call) -> Any:
        """Two responses: `accepted` now, the result when the run has ended."""
        params = call.params
        message, run_id = params.text("message"), params.run_id()
        entry = self._ledger.get(run_id)
        if entry is not None:
            return _repeat(entry, call)
        route = _route(call)
        call.peer.watch_session(route.session_key)
        run = call.gateway.runs.start(
            RunRequest(
                route=route,
                messages=(Message("user", user_content(message, call)),),
                source="ws",
                instructions=params.optional_text("extraSystemPrompt"),
                model=call.gateway.store.runs.settings_of(route.session_key).get("model"),
                principal=call.peer.principal,
                run_id=run_id,
                timeout_seconds=params.integer("timeout", 0) or None,
                origin=call.peer,
            )
        )
        answer = call.later()
        call.reply(
            {
                "runId": run.id,
                "status": "accepted",
                "acceptedAt": int(time.time() * 1000),
                "sessionKey": route.session_key,
                "agentId": route.agent_id,
            }
        )
        started = self._ledger.get(run.id)
        assert started is not None
        started.when_ended(lambda ended: _answer(ended, answer))
        return LATER

    def wait(self, call: Call) -> Any:
        """How a run ended, or `timeout`: a run nobody knows is waited for in vain."""
        run_id = call.params.text("runId")
        patience = call.params.integer("timeoutMs", DEFAULT_WAIT_MS) / 1000
        entry = self._ledger.get(run_id)
        answer = call.later()
        if entry is not None:
            entry.when_ended(lambda ended: answer.succeed(_state(ended)))
        if entry is None or not entry.ended:
            call_later(patience, lambda: answer.succeed({"runId": run_id, "status": "timeout"}))
        return LATER


def _route(call: Call) -> Route:
    params = call.params
    key, session_id = params.optional_text("sessionKey"), params.optional_text("sessionId")
    return resolve_agent_route(
        key or (f"explicit:{session_id}" if session_id else None),
        params.optional_text("agentId"),
        call.gateway.settings,
        params.optional_text("label"),
    )


def _repeat(entry: Entry, call: Call) -> Any:
    if not entry.ended:
        return {"runId": entry.run.id, "status": "in_flight"}
    answer = call.later()
    _answer(entry, answer)
    return LATER


def _answer(entry: Entry, answer: Answer) -> None:
    if entry.error is not None:
        answer.fail(entry.error, entry.payload)
    else:
        answer.succeed(entry.payload)


def _state(entry: Entry) -> dict[str, Any]:
    state: dict[str, Any] = {
        "runId": entry.run.id,
        "status": "ok" if entry.error is None else "error",
        "startedAt": int(entry.run.started_at * 1000),
        "endedAt": int((entry.ended_at or 0) * 1000),
    }
    if entry.error is not None:
        state["error"] = entry.error.message
    return state
