"""The header `Idempotency-Key`: a request that may be sent again, and is answered once
(docs/idempotency.md).

Its name is that of the IETF draft `draft-ietf-httpapi-idempotency-key-header`; `Idempotent-Replayed`, which
marks an answer that an earlier request has begun, is Stripe's.
"""

from __future__ import annotations

from msgspec.structs import replace

from app.exchange import GatewayRequest
from app.http.headers import openclaw_header
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


def begin_run(wanted: RunRequest, request: GatewayRequest) -> AnyRun:
    """Start the run, or find the one that answers this request already: `request.run` from here on.

    Raises what `Repeats.begin` raises.
    """
    run, request.is_repeated = request.gateway.repeats.begin(wanted)
    request.run = run
    return run
