"""A plain answer that begins before it is known, for routers that wait only so long for a first byte, and for
the next one (docs/http.md#a-plain-answer-that-takes-long).

White space before a JSON text belongs to it (RFC 8259, section 2), so clients read what follows as ever.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import orjson

from app.errors import GatewayError, InternalError, UnsupportedValue
from app.exchange import GatewayRequest, GatewayResponse
from app.http.connection import ClientWatch, client_left
from app.http.errors import envelope
from app.http.headers import openclaw_header
from app.http.run_body import RunBody, RunResponse
from app.runs.repeats import AnyRun
from app.runs.run import RunResult

logger = logging.getLogger("app.http")

MAX_SILENCE_SECONDS = 5.0
BLANK = b" "
HEADER = "x-openclaw-keepalive"
HEADERS = {"X-Accel-Buffering": "no"}

Dump = Callable[[AnyRun, RunResult], dict[str, Any]]


def wants_keepalive(request: GatewayRequest) -> bool:
    """Whether the caller asks for it: `x-openclaw-keepalive: body`. Raises UnsupportedValue."""
    word = openclaw_header(request, "keepalive")
    if word is None:
        return False
    if word.strip().lower() != "body":
        raise UnsupportedValue(f"`{HEADER}` must be: body.", param=HEADER)
    return True


def keep_alive(run: AnyRun, request: GatewayRequest, dump: Dump) -> GatewayResponse | None:
    """The answer, which has begun with a blank; None if the run has ended before one was needed, which then
    has an answer with the right status.
    """
    silence = min(MAX_SILENCE_SECONDS, request.gateway.settings.gateway.sse.keepalive_seconds)
    with run.followed(client_left()) as follower:
        with ClientWatch(request.environ, follower.leave):
            if run.wait(silence):
                return None
        body = RunBody(run, _chunks(run, dump, silence), request)  # a follower of its own
    return RunResponse(body, HEADERS, "application/json")


def _chunks(run: AnyRun, dump: Dump, silence: float) -> Iterator[bytes]:
    yield BLANK
    while not run.wait(silence):
        yield BLANK
    yield _dump_end(run, dump)


def _dump_end(run: AnyRun, dump: Dump) -> bytes:
    """The whole answer, or the error: the status has been sent, and says nothing about it."""
    try:
        return orjson.dumps(dump(run, run.result()))
    except GatewayError as error:
        return orjson.dumps(envelope(error))
    except Exception:
        logger.exception("an answer failed on a fault of the gateway")
        return orjson.dumps(envelope(InternalError("The gateway failed on this request.")))
