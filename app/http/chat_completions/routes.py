"""The endpoint: who asks, which agent, which session, then one run and its answer."""

from __future__ import annotations

import time

import orjson

from app.exchange import GatewayRequest, GatewayResponse, current_request, json_answer
from app.http.access import require_principal
from app.http.chat_completions.encoder import ChunkEncoder, dump_completion
from app.http.chat_completions.plain import read_plain
from app.http.chat_completions.schema import ChatRequest, load_chat_request
from app.http.connection import ClientWatch, client_left
from app.http.headers import brand_header
from app.http.request_body import parse_object, read_body
from app.http.sse import sse_response
from app.http.switches import CHAT_COMPLETIONS, SwitchedBlueprint
from app.runs.intake import RunInput
from app.runs.request import RunRequest
from app.runs.run import Run

ID_PREFIX = "chatcmpl_"  # the run's id is also the completion's
bp = SwitchedBlueprint("chat_completions", __name__, CHAT_COMPLETIONS)
bp.before_request(require_principal)


@bp.post("/v1/chat/completions")
def create_chat_completion() -> GatewayResponse:
    request = current_request()
    limits = request.gateway.settings.gateway.chat_completions
    text = read_body(request, limits.max_body_bytes)
    body = load_chat_request(read_plain(text) or parse_object(text), limits)
    created, model = int(time.time()), str(body.model or "openclaw")
    if not body.stream:
        return _whole_answer(_run_request(body, request), created, model, request)
    run = request.run = request.gateway.runs.start(_run_request(body, request))
    return sse_response(run, ChunkEncoder(run.id, created, model, body.include_usage), request)


def _run_request(body: ChatRequest, request: GatewayRequest) -> RunRequest:
    chat = request.gateway.settings.gateway.chat_completions
    return request.gateway.intake.load(
        RunInput(
            source="http",
            keys="caller",
            principal=request.principal,
            messages=body.conversation.messages,
            agent_id=brand_header(request, "agent-id") or brand_header(request, "agent"),
            agent_model=body.model,
            unknown_model=chat.unknown_model,
            session_key=brand_header(request, "session-key"),
            user=body.user,
            model=brand_header(request, "model"),
            instructions=body.conversation.instructions,
            params=body.params,
            tools=body.tools.specs,
            tool_choice=body.tools.choice,
            request_id=request.id,
            id_prefix=ID_PREFIX,
            log_finish=False,
        )
    )


def _whole_answer(wanted: RunRequest, created: int, model: str, request: GatewayRequest) -> GatewayResponse:
    def watch(run: Run) -> ClientWatch:
        request.run = run
        return ClientWatch(request.environ, lambda: run.abort(client_left()))

    run = request.gateway.runs.complete(wanted, watch)
    result = run.result()
    answer = json_answer(orjson.dumps(dump_completion(run.id, created, model, result)))
    if result.usage.estimated:
        answer.headers["X-OpenClaw-Usage"] = "estimated"
    return answer
