"""A run as a stream of server-sent events: headers at once, bytes as they come, a sign of life in silence."""

from __future__ import annotations

import logging
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
SLICE = 64 * 1024

HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
CONTENT_TYPE = "text/event-stream; charset=utf-8"


class Encoder(Protocol):
    def begin(self) -> bytes: ...
    def encode(self, events: Iterable[Event]) -> bytes: ...
    def keepalive(self) -> bytes: ...


def sse_response(run: Run, encoder: Encoder, request: GatewayRequest) -> GatewayResponse:
    """Streams `run`. If the client leaves before the end, the run is aborted."""
    return SseResponse(SseBody(run, encoder, request))


class SseResponse(GatewayResponse):
    """The server gets the body itself, no layer around it, so the body calls what is called at the end."""

    def __init__(self, body: SseBody) -> None:
        super().__init__(body, headers=HEADERS, content_type=CONTENT_TYPE, direct_passthrough=True)
        self._body = body

    def call_on_close(self, func: Callable[[], Any]) -> Callable[[], Any]:
        self._body.on_close.append(func)
        return func


class SseBody:
    """The WSGI body. The server calls `close` however the response ends."""

    def __init__(self, run: Run, encoder: Encoder, request: GatewayRequest) -> None:
        gateway = request.gateway
        self._run = run
        self._pieces = _pieces(run, encoder, gateway.settings.gateway.sse)
        self._streams = gateway.metrics.active_streams
        self._streams.inc()
        # Not a method of this object: the two would hold each other, and the run, until garbage is collected.
        self._watch = ClientWatch(request.environ, partial(_abort, run))
        self._watch.start()
        self.on_close: list[Callable[[], object]] = []

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces

    def close(self) -> None:
        self._watch.stop()
        self._streams.dec()
        _abort(self._run)
        for call in self.on_close:
            call()


def _abort(run: Run) -> None:
    run.abort(client_left())


def _pieces(run: Run, encoder: Encoder, sse: SseSettings) -> Iterator[bytes]:
    alive: Callable[[], bytes] = encoder.keepalive if sse.keepalive == "chunk" else lambda: KEEPALIVE
    wake_every = None if sse.keepalive == "off" else sse.keepalive_seconds
    yield encoder.begin()
    try:
        for batch in run.follow(wake_every=wake_every):
            if not batch:
                yield alive()
            else:
                yield from _slices(encoder.encode(batch))
    except Exception:
        # The headers are out, so the fault must be told in the stream: a silent end looks like success.
        logger.exception("a stream failed on a fault of the gateway")
        yield encoder.encode([RunFailed(InternalError("The gateway failed on this request."))])


def _slices(data: bytes) -> Sequence[bytes]:
    """A batch that gathered while the client was slow goes out in pieces, each with its own time to do so."""
    return [data] if len(data) <= SLICE else [data[at : at + SLICE] for at in range(0, len(data), SLICE)]
