"""Starting a run for an HTTP request, and answering with it: for every endpoint that starts runs.

An endpoint gives its own wire format: a function that dumps a whole answer, or an encoder of a stream.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args

import orjson
from msgspec.structs import replace

from app.errors import LeaseLost, UnsupportedValue
from app.events.types import RunFinished
from app.exchange import GatewayRequest, GatewayResponse, json_answer
from app.http.client_tools import ClientTools
from app.http.connection import ClientWatch, client_left
from app.http.headers import openclaw_header
from app.http.idempotency import begin_run
from app.http.kept_alive import keep_alive, wants_keepalive
from app.http.sse import Encoder, sse_response
from app.messages import Message
from app.runs.intake import RunInput
from app.runs.repeats import AnyRun
from app.runs.request import OnDisconnect, RunRequest
from app.runs.run import Run, RunResult
from app.tools.base import ApprovalMode

MAX_WORKERS = 3  # that one request waits for, one after the other


def load_run_request(
    request: GatewayRequest,
    *,
    model: object,
    user: object,
    messages: Sequence[Message],
    instructions: str | None,
    params: Mapping[str, Any],
    tools: ClientTools,
    id_prefix: str,
) -> RunRequest:
    """What to run, from a body's fields and the headers that select agent, session and model.

    `model` and `user` are as the caller sent them. Raises UnsupportedValue and what `Intake.load` raises:
    ModelNotFound, UnknownAgent, InvalidSessionKey, InvalidRequest (an unknown x-openclaw-model), Forbidden.
    """
    return request.gateway.intake.load(
        RunInput(
            source="http",
            key_rules="caller",
            principal=request.principal,
            messages=messages,
            agent_id=openclaw_header(request, "agent-id") or openclaw_header(request, "agent"),
            openai_model=model,
            unknown_model=request.gateway.settings.gateway.chat_completions.unknown_model,
            session_key=openclaw_header(request, "session-key"),
            user=user,
            model=openclaw_header(request, "model"),
            instructions=instructions,
            params=params,
            tools=tools.specs,
            tool_choice=tools.choice,
            request_id=request.id,
            id_prefix=id_prefix,
            approvals=load_approval_mode(request),
            on_disconnect=(leaving := load_on_disconnect(request)),
            durable=leaving == "continue",
            log_finish=False,  # the line of the answered request is the run's last line, too
        )
    )


def load_approval_mode(request: GatewayRequest) -> ApprovalMode | None:
    """What the caller wants done with calls that need an approval. Raises UnsupportedValue."""
    word = openclaw_header(request, "approvals")
    if word is None:
        return None
    for mode in get_args(ApprovalMode):
        if word.strip().lower() == mode:
            return mode  # type: ignore[no-any-return]
    raise UnsupportedValue(
        "`x-openclaw-approvals` must be one of: deny, wait, fail.", param="x-openclaw-approvals"
    )


def load_on_disconnect(request: GatewayRequest) -> OnDisconnect:
    """What becomes of the run when its client disconnects. Raises UnsupportedValue."""
    word = openclaw_header(request, "on-disconnect")
    if word is None:
        return "abort"
    for choice in get_args(OnDisconnect):
        if word.strip().lower() == choice:
            return choice  # type: ignore[no-any-return]
    raise UnsupportedValue(
        "`x-openclaw-on-disconnect` must be `abort` or `continue`.", param="x-openclaw-on-disconnect"
    )


def answer_whole(
    wanted: RunRequest, request: GatewayRequest, dump: Callable[[AnyRun, RunResult], dict[str, Any]]
) -> GatewayResponse:
    """Run to the end, and answer with what `dump` makes of its result; with blanks first if the caller asks
    for them and it takes long.

    The client is a follower of the run. Raises what `Repeats.begin` and `Run.result` raise.
    """
    if wants_keepalive(request):
        run = begin_run(wanted, request)
        return keep_alive(run, request, dump) or _whole(run, dump)
    if wanted.key is not None:
        return _whole(_answered(wanted, request), dump)

    def watch(run: Run) -> ClientWatch:
        request.run = run
        return ClientWatch(request.environ, run.followed(client_left()).leave)

    return _whole(request.gateway.runs.complete(wanted, watch), dump)


def _answered(wanted: RunRequest, request: GatewayRequest) -> AnyRun:
    """The run that answers a request with a key, at its end.

    Its client has seen nothing of it. So where the run's worker has died, and another one begins it again, it
    is waited for there (docs/idempotency.md).
    """
    for _ in range(MAX_WORKERS):
        run = begin_run(wanted, request)
        with run.followed(client_left()) as follower, ClientWatch(request.environ, follower.leave):
            run.wait()
        lease_lost = isinstance(run, Run) and isinstance(run.cancel.error, LeaseLost)
        if not (run.log.is_lost or lease_lost):
            break
    return run


def _whole(run: AnyRun, dump: Callable[[AnyRun, RunResult], dict[str, Any]]) -> GatewayResponse:
    result = run.result()
    answer = json_answer(orjson.dumps(dump(run, result)))
    if result.usage.estimated:
        answer.headers["X-OpenClaw-Usage"] = "estimated"
    return answer


def answer_stream(
    wanted: RunRequest, request: GatewayRequest, encoder_of: Callable[[AnyRun], Encoder]
) -> GatewayResponse:
    """Start a run, and answer with its events as `encoder_of(run)` encodes them.

    Raises what `Repeats.begin` raises; later failures are in the stream.
    """
    run = begin_run(replace(wanted, streams=True), request)
    return sse_response(run, encoder_of(run), request)


def answer_later(wanted: RunRequest, request: GatewayRequest) -> GatewayResponse:
    """Start a run that nobody waits for, and answer with its id (docs/runs.md). Raises what
    `Repeats.begin` raises.
    """
    run = begin_run(replace(wanted, durable=True, on_disconnect="continue"), request)
    state = "running"
    if run.log.end is not None:
        state = "completed" if isinstance(run.log.end, RunFinished) else "failed"
    elif isinstance(run, Run) and run.dequeued_at is None:
        state = "queued"
    answer = json_answer(orjson.dumps({"id": run.id, "state": state}), 202)
    answer.headers["Location"] = f"/v1/runs/{run.id}"
    return answer
