"""The endpoint: who asks, which agent, which session, then one run and its answer."""

from __future__ import annotations

import time

import orjson
from flask import Blueprint, Request, Response

from app.auth.principal import Principal
from app.bootstrap import Gateway
from app.config.settings import Settings
from app.errors import Forbidden
from app.http.access import (
    current_gateway,
    current_principal,
    current_request,
    current_request_id,
    require_principal,
)
from app.http.chat_completions.encoder import ChunkEncoder, dump_completion
from app.http.chat_completions.schema import ChatRequest, load_chat_request
from app.http.connection import ClientWatch, client_left
from app.http.headers import brand_header
from app.http.request_body import read_json
from app.http.run_headers import remember_run
from app.http.sse import sse_response
from app.routing.resolve import Route, resolve_agent, resolve_session
from app.runs.request import RunRequest
from app.runs.run import Run

bp = Blueprint("chat_completions", __name__)
bp.before_request(require_principal)


@bp.post("/v1/chat/completions")
def create_chat_completion() -> Response:
    gateway, request = current_gateway(), current_request()
    limits = gateway.settings.gateway.chat_completions
    body = load_chat_request(read_json(request, limits.max_body_bytes), limits)
    run = gateway.runs.start(_run_request(body, request, gateway))
    remember_run(run)
    created, model = int(time.time()), str(body.model or "openclaw")
    if body.stream:
        encoder = ChunkEncoder(run.id, created, model, body.include_usage)
        return sse_response(run, encoder)
    return _whole_answer(run, created, model, request)


def _run_request(body: ChatRequest, request: Request, gateway: Gateway) -> RunRequest:
    principal = current_principal()
    return RunRequest(
        route=_route(body, request, gateway.settings, principal),
        messages=body.conversation.messages,
        source="http",
        instructions=body.conversation.instructions,
        params=body.params,
        tools=body.tools.specs,
        tool_choice=body.tools.choice,
        model=_model_override(request, gateway, principal),
        principal=principal,
        request_id=current_request_id(),
    )


def _route(body: ChatRequest, request: Request, settings: Settings, principal: Principal) -> Route:
    """The agent that the caller selects, and the session: hashed from `user` unless a key is given."""
    agent_id = resolve_agent(
        body.model,
        brand_header(request, "agent-id") or brand_header(request, "agent"),
        settings.agents,
        settings.gateway.chat_completions.unknown_model,
    )
    key = brand_header(request, "session-key")
    return resolve_session(agent_id, body.user, key, settings.session.main_key, owner=principal.user)


def _model_override(request: Request, gateway: Gateway, principal: Principal) -> str | None:
    """`x-openclaw-model` replaces the agent's model, by one the configuration knows."""
    name = brand_header(request, "model")
    if not name or not name.strip():
        return None
    if principal.user is not None:
        raise Forbidden("Only the gateway's operator may choose the model (x-openclaw-model).")
    return gateway.known_model(name.strip())


def _whole_answer(run: Run, created: int, model: str, request: Request) -> Response:
    with ClientWatch(request.environ, lambda: run.abort(client_left())):
        result = run.result()
    answer = Response(
        orjson.dumps(dump_completion(run.id, created, model, result)), content_type="application/json"
    )
    if result.usage.estimated:
        answer.headers["X-OpenClaw-Usage"] = "estimated"
    return answer
