"""The endpoint: the body -> one run -> its answer, whole or as a stream."""

from __future__ import annotations

from typing import Any

from app.exchange import GatewayResponse, current_request
from app.http.access import require_writer
from app.http.chat_completions.encoder import (
    ChunkEncoder,
    EventChunkEncoder,
    add_run_events,
    dump_completion,
)
from app.http.chat_completions.plain import read_plain
from app.http.chat_completions.schema import load_chat_request
from app.http.idempotency import with_key
from app.http.request_body import parse_object, read_body
from app.http.run_events import load_wanted_events
from app.http.runs import answer_later, answer_stream, answer_whole, load_run_request
from app.http.switches import CHAT_COMPLETIONS, SwitchedBlueprint
from app.runs.repeats import AnyRun
from app.runs.run import RunResult

ID_PREFIX = "chatcmpl_"  # the run's id is also the completion's
bp = SwitchedBlueprint("chat_completions", __name__, CHAT_COMPLETIONS)
bp.before_request(require_writer)


@bp.post("/v1/chat/completions")
def create_chat_completion() -> GatewayResponse:
    """Everything that can be refused is refused before the first byte of the answer."""
    request = current_request()
    limits = request.gateway.settings.gateway.chat_completions
    text = read_body(request, limits.max_body_bytes)
    body = load_chat_request(read_plain(text) or parse_object(text), limits)
    model = str(body.model or "openclaw")
    events = load_wanted_events(request)
    wanted = load_run_request(
        request,
        model=body.model,
        user=body.user,
        messages=body.conversation.messages,
        instructions=body.conversation.instructions,
        params=body.params,
        tools=body.tools,
        id_prefix=ID_PREFIX,
    )
    wanted = with_key(wanted, request, text)

    def encoder(run: AnyRun) -> ChunkEncoder:
        about = (run.id, int(run.started_at), model, body.include_usage)
        return EventChunkEncoder(*about, events) if events else ChunkEncoder(*about)

    def dump(run: AnyRun, result: RunResult) -> dict[str, Any]:
        completion = dump_completion(run.id, int(run.started_at), model, result)
        if events:
            add_run_events(completion, list(run.log), events)
        return completion

    if body.background:
        return answer_later(wanted, request)
    if body.stream:
        return answer_stream(wanted, request, encoder)
    return answer_whole(wanted, request, dump)
