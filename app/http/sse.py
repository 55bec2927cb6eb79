"""A run as a stream of server-sent events (docs/http.md#streaming).

Headers are sent at once, then each batch of events, and keep-alives while there are none.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

from app.config.settings import SseSettings
from app.errors import InternalError
from app.events.types import Event, RunFailed
from app.exchange import GatewayRequest, GatewayResponse
from app.http.run_body import RunBody, RunResponse
from app.runs.repeats import AnyRun

logger = logging.getLogger("app.http")

KEEPALIVE = b": keepalive\n\n"
MAX_WRITE_BYTES = 64 * 1024

HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
CONTENT_TYPE = "text/event-stream; charset=utf-8"


class Encoder(Protocol):
    """An endpoint's wire format. Each method returns complete SSE events."""

    def begin(self) -> bytes:
        """What is sent before the model has answered."""

    def encode(self, events: Iterable[Event]) -> bytes:
        """A batch of a run's events."""

    def keepalive(self) -> bytes:
        """An event without content, for clients that cannot skip comments."""


def sse_response(run: AnyRun, encoder: Encoder, request: GatewayRequest) -> GatewayResponse:
    """An answer that streams `run`, to one follower of it."""
    chunks = _chunks(run, encoder, request.gateway.settings.gateway.sse)
    return RunResponse(RunBody(run, chunks, request), HEADERS, CONTENT_TYPE)


def _chunks(run: AnyRun, encoder: Encoder, sse: SseSettings) -> Iterator[bytes]:
    alive: Callable[[], bytes] = encoder.keepalive if sse.keepalive == "chunk" else lambda: KEEPALIVE
    wake_every = None if sse.keepalive == "off" else sse.keepalive_seconds
    yield encoder.begin()
    sent_at = time.monotonic()
    try:
        for batch in run.follow(wake_every=wake_every):
            data = encoder.encode(batch) if batch else alive()
            if not data and wake_every is not None and time.monotonic() - sent_at >= wake_every:
                data = alive()  # much happens, but nothing that this client gets
            if data:
                yield from in_slices(data)
                sent_at = time.monotonic()
    except Exception:
        # The status has been sent, so the failure must be in the stream: a bare end looks like success.
        logger.exception("a stream failed on a fault of the gateway")
        yield encoder.encode([RunFailed.of(InternalError("The gateway failed on this request."))])


def in_slices(data: bytes) -> Sequence[bytes]:
    """A large batch, which gathers while a client is slow, in several writes, each with its own time-out."""
    return (
        [data]
        if len(data) <= MAX_WRITE_BYTES
        else [data[at : at + MAX_WRITE_BYTES] for at in range(0, len(data), MAX_WRITE_BYTES)]
    )
