"""The header `Idempotency-Key`: a request that may be sent again, and is answered once
(docs/idempotency.md).

Its name is that of the IETF draft `draft-ietf-httpapi-idempotency-key-header`; `Idempotent-Replayed`, which
marks an answer that an earlier request has begun, is Stripe's.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from msgspec.structs import replace

from app.exchange import GatewayRequest, GatewayResponse, current_request, json_answer
from app.http.headers import openclaw_header
from app.http.request_body import KNOWN_BODY, read_raw_body
from app.runs.idempotency import body_hash, check_key, key_id
from app.runs.repeats import AnyRun
from app.runs.request import RunRequest
from app.sessions.stored import RunKey

HEADER = "Idempotency-Key"
REPLAYED = ("Idempotent-Replayed", "true")


def load_key(request: GatewayRequest) -> str | None:
    """The request's key; None if it has none. Raises UnsupportedValue."""
    key: str | None = request.environ.get("HTTP_IDEMPOTENCY_KEY")
    if key is None:
        key = openclaw_header(request, "idempotency-key")
    return None if key is None else check_key(key, HEADER)


def load_run_key(
    request: GatewayRequest, body: bytes, session_key: str | None, *chosen: str | None
) -> RunKey | None:
    """The request's key with all it holds for: the caller, the address, and the session, if it has one.

    `chosen` is what was asked for besides the body. Raises UnsupportedValue.
    """
    key = load_key(request)
    if key is None:
        return None
    known_by = key_id(key, request.principal.owner, request.path, session_key)
    return RunKey(known_by, body_hash(body, *chosen))


def with_key(wanted: RunRequest, request: GatewayRequest, body: bytes) -> RunRequest:
    """The run that is wanted, with the key of its request. `body` is the request's, as it came."""
    route = wanted.route
    session_key = None if route.stateless else route.session_key
    key = load_run_key(request, body, session_key, route.agent_id, wanted.model)
    return wanted if key is None else replace(wanted, key=key, durable=True)


def answered_once(route: Callable[..., GatewayResponse]) -> Callable[..., GatewayResponse]:
    """For routes that change something without a run, and answer with JSON: a request with a key is done
    once. What it says beside an error is not kept: such a request may be made again.
    """

    @wraps(route)
    def once(*args: Any, **named: Any) -> GatewayResponse:
        request = current_request()
        if load_key(request) is None:
            return route(*args, **named)
        body = read_raw_body(request, request.gateway.settings.gateway.chat_completions.max_body_bytes)
        request.environ[KNOWN_BODY] = body
        key = load_run_key(request, body, None)
        assert key is not None
        return answer_once(key, request, lambda: route(*args, **named))

    return once


def answer_once(
    key: RunKey,
    request: GatewayRequest,
    work: Callable[[], GatewayResponse],
    is_kept: Callable[[GatewayResponse], bool] = lambda response: response.status_code < 400,
) -> GatewayResponse:
    """What `work` answers with, in JSON; for the same request again, the same answer if it `is_kept`.

    Raises what `Once.do` raises.
    """

    def kept() -> tuple[str, bool]:
        response = work()
        text = f"{response.status_code} {response.get_data(as_text=True)}"
        return text, is_kept(response)

    text, request.is_repeated = request.gateway.once.do(key, request.principal.owner, kept)
    status, _, body = text.partition(" ")
    return json_answer(body.encode(), int(status))


def begin_run(wanted: RunRequest, request: GatewayRequest) -> AnyRun:
    """Start the run, or find the one that answers this request already: `request.run` from here on.

    Raises what `Repeats.begin` raises.
    """
    run, request.is_repeated = request.gateway.repeats.begin(wanted)
    request.run = run
    return run
