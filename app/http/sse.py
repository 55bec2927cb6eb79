"""A run as a stream of server-sent events (docs/http.md#streaming).

Headers are sent at once, then each batch of events, and keep-alives while there are none.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Protocol

from app.config.settings import SseSettings
from app.errors import InternalError
from app.events.types import Event, RunFailed
from app.exchange import GatewayRequest, GatewayResponse
from app.http.connection import ClientWatch, client_left
from app.runs.run import Run

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


def sse_response(run: Run, encoder: Encoder, request: GatewayRequest) -> GatewayResponse:
    """An answer that streams `run`. If the client disconnects before the end, the run is aborted."""
    return SseResponse(SseBody(run, encoder, request))


class SseResponse(GatewayResponse):
    """The server gets the body without Werkzeug's layers, so the body runs the `call_on_close` functions."""

    def __init__(self, body: SseBody) -> None:
        super().__init__(body, headers=HEADERS, content_type=CONTENT_TYPE, direct_passthrough=True)
        self._body = body

    def call_on_close(self, func: Callable[[], Any]) -> Callable[[], Any]:
        self._body.on_close.append(func)
        return func


class SseBody:
    """The WSGI body. The server calls `close` however the response ends (PEP 3333)."""

    def __init__(self, run: Run, encoder: Encoder, request: GatewayRequest) -> None:
        gateway = request.gateway
        self._run = run
        self._chunks = _chunks(run, encoder, gateway.settings.gateway.sse)
        self._streams = gateway.metrics.active_streams
        self._streams.inc()
        # Not a bound method: that would be a reference cycle, which keeps the run until garbage collection.
        self._watch = ClientWatch(request.environ, partial(_abort, run))
        self._watch.start()
        self.on_close: list[Callable[[], object]] = []

    def __iter__(self) -> Iterator[bytes]:
        return self._chunks

    def close(self) -> None:
        self._watch.stop()
        self._streams.dec()
        _abort(self._run)
        for call in self.on_close:
            call()


def _abort(run: Run) -> None:
    run.abort(client_left())


def _chunks(run: Run, encoder: Encoder, sse: SseSettings) -> Iterator[bytes]:
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
                yield from _slices(data)
                sent_at = time.monotonic()
    except Exception:
        # The status has been sent, so the failure must be in the stream: a bare end looks like success.
        logger.exception("a stream failed on a fault of the gateway")
        yield encoder.encode([RunFailed.of(InternalError("The gateway failed on this request."))])


def _slices(data: bytes) -> Sequence[bytes]:
    """A large batch, which gathers while a client is slow, in several writes, each with its own time-out."""
    return (
        [data]
        if len(data) <= MAX_WRITE_BYTES
        else [data[at : at + MAX_WRITE_BYTES] for at in range(0, len(data), MAX_WRITE_BYTES)]
    )
