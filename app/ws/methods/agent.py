"""`agent` and `agent.wait`: a run for a caller who wants its result (docs/websocket.md#runs)."""

from __future__ import annotations

import threading
from typing import Any

from app.clock import now_ms
from app.concurrency.background import call_later, spawn
from app.control.run_views import RunView
from app.errors import GatewayError, InvalidRequest
from app.events.types import RunFailed
from app.messages import Message
from app.model_name import ModelName
from app.runs.intake import RunInput
from app.runs.ledger import EndedRun
from app.runs.request import RunRequest
from app.sessions.bound_keys import KeyInUse
from app.ws.call import LATER, Answer, Call, Handler
from app.ws.feed import Feed
from app.ws.methods.attachments import user_content

DEFAULT_WAIT_MS, MAX_WAIT_MS = 30_000, 600_000


class AgentMethods:
    """`feed` says when a run's events have been sent: only then its result is."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed

    def table(self) -> dict[str, Handler]:
        return {"agent": self.run, "agent.wait": self.wait}

    def run(self, call: Call) -> Any:
        """Two responses: `accepted` now, the result when the run has ended.

        The idempotency key is the run's id. A known key starts nothing: `in_flight`, or the result again; but
        a run that was cut is run again (docs/websocket.md#repeating-a-request).
        """
        params, runs = call.params, call.gateway.runs
        message, run_id = params.text("message"), params.run_id()
        request = _load_request(call, message, run_id)
        known = call.gateway.repeats.known(request)
        if known == "in_flight":
            return {"runId": run_id, "status": known}
        if known is not None:
            return _send_result(known, call.later())
        route = request.route
        call.peer.watch_session(route.session_key)
        answer = call.later()
        try:
            run = runs.start(request)
        except KeyInUse:  # the same request, at the same moment
            answer.end()
            return {"runId": run_id, "status": "in_flight"}
        except BaseException:
            answer.end()
            raise
        call.reply(
            {
                "runId": run.shown_id,
                "status": "accepted",
                "acceptedAt": now_ms(),
                "sessionKey": route.session_key,
                "agentId": route.agent_id,
            }
        )
        answer.at_end(self._feed.when_sent(run.id, lambda: _send_result(runs.ledger.get(run.id), answer)))
        return LATER

    def wait(self, call: Call) -> Any:
        """How a run ended. `timeout` if that is not known in time; at once for an unknown run."""
        run_id, ledger = call.params.text("runId"), call.gateway.runs.ledger
        seconds = min(call.params.integer("timeoutMs", DEFAULT_WAIT_MS), MAX_WAIT_MS) / 1000
        timeout = {"runId": run_id, "status": "timeout"}
        run = call.gateway.runs.get(run_id, call.owner)
        if run is None:
            ended = call.gateway.repeats.ended(run_id, call.owner)
            return _describe_end(ended) if ended else _wait_elsewhere(call, run_id, seconds) or timeout
        answer = call.later()

        def send_end() -> None:
            ended = ledger.get(run.id)
            answer.succeed(timeout if ended is None else _describe_end(ended))

        answer.at_end(self._feed.when_sent(run.id, send_end))
        answer.at_end(call_later(seconds, lambda: answer.succeed(timeout)))
        return LATER


def _wait_elsewhere(call: Call, run_id: str, seconds: float) -> Any:
    """How a run ended that this worker does not have; None if there is none."""
    found = call.gateway.all_runs.find(run_id, call.owner)
    if found is None or found.has_ended:
        return None if found is None else _describe_view(found, run_id)
    answer, stop = call.later(), threading.Event()

    def wait() -> None:
        try:
            ended = call.gateway.all_runs.wait(found, seconds, stop)
        except GatewayError as error:
            answer.fail(error)
            return
        answer.succeed(
            {"runId": run_id, "status": "timeout"} if ended is None else _describe_view(ended, run_id)
        )

    answer.at_end(stop.set)
    spawn(wait)
    return LATER


def _load_request(call: Call, message: str, run_id: str) -> RunRequest:
    params = call.params
    key, session_id = params.optional_text("sessionKey"), params.optional_text("sessionId")
    return call.gateway.intake.load(
        RunInput(
            source="ws",
            key_rules="agent",
            principal=call.peer.principal,
            messages=(Message("user", user_content(message, call)),),
            agent_id=params.optional_text("agentId"),
            session_key=key or (f"explicit:{session_id}" if session_id else None),
            label=params.optional_text("label"),
            thinking=params.optional_text("thinking"),
            instructions=params.optional_text("extraSystemPrompt"),
            run_id=run_id,
            timeout_seconds=params.integer("timeout", 0) or None,
            starter=call.peer.id,
        )
    )


def _send_result(run: EndedRun | None, answer: Answer) -> object:
    """The second response to `agent`: the answer, or the error."""
    if run is None:  # forgotten since it ended, which is a matter of minutes
        answer.fail(InvalidRequest("The result of this run is no longer known."))
    elif isinstance(run.end, RunFailed):
        failed = {"runId": run.shown_id, "status": "error", "summary": run.end.message}
        answer.fail(run.end.as_error(), failed)
    else:
        answer.succeed(_dump_result(run))
    return LATER


def _dump_result(run: EndedRun) -> dict[str, Any]:
    assert not isinstance(run.end, RunFailed)
    name, usage = ModelName.parse(run.model or ""), run.end.usage
    agent_meta = {
        "sessionId": run.session_key,
        "provider": name.provider,
        "model": name.model,
        "usage": {
            "input": usage.prompt_tokens,
            "output": usage.completion_tokens,
            "total": usage.total_tokens,
            "estimated": usage.estimated,
        },
    }
    duration = int((run.ended_at - run.started_at) * 1000)
    meta = {"durationMs": duration, "stopReason": run.end.reason, "agentMeta": agent_meta}
    payloads = [{"text": run.text, "mediaUrl": None}] if run.text else []
    result = {"payloads": payloads, "meta": meta}
    return {"runId": run.shown_id, "status": "ok", "summary": "completed", "result": result}


def _describe_view(run: RunView, run_id: str) -> dict[str, Any]:
    is_whole = run.state == "completed"
    state: dict[str, Any] = {
        "runId": run_id,
        "status": "ok" if is_whole else "error",
        "startedAt": run.created_at,
        "endedAt": run.ended_at,
    }
    if not is_whole:
        state["error"] = run.error.message if run.error is not None else f"The run was {run.state}."
    return state


def _describe_end(run: EndedRun) -> dict[str, Any]:
    failed = isinstance(run.end, RunFailed)
    state: dict[str, Any] = {
        "runId": run.shown_id,
        "status": "error" if failed else "ok",
        "startedAt": int(run.started_at * 1000),
        "endedAt": int(run.ended_at * 1000),
    }
    if isinstance(run.end, RunFailed):
        state["error"] = run.end.message
    return state
