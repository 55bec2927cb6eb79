"""A run's events as they come, for anybody who may see the run, from any position (docs/runs.md#events)."""

from __future__ import annotations

import logging
import math
import re
import time
from collections.abc import Iterator

import orjson

from app.control.runs import RunEvents
from app.errors import EventsGone, InternalError, UnsupportedValue
from app.exchange import GatewayRequest, GatewayResponse, sent_header
from app.gateway import Gateway
from app.http.errors import envelope
from app.http.run_api.encoder import EventEncoder
from app.http.run_body import RunBody, RunResponse
from app.http.sse import CONTENT_TYPE, HEADERS, KEEPALIVE, in_slices
from app.runs.run import Run

logger = logging.getLogger("app.http")

QUIET_EVENT = b"event: keepalive\ndata: {}\n\n"  # for clients that cannot skip comments
LOOK_SECONDS = 2.0  # between two looks whether the gateway is stopping
_NUMBER = re.compile(r"\d{1,15}", re.ASCII)


def load_position(request: GatewayRequest) -> int:
    """After which event the caller wants to read on: `Last-Event-ID`, which a client sends that connects
    again, or `after`; 0 for the beginning. Raises UnsupportedValue.
    """
    for name, text in (
        ("Last-Event-ID", sent_header(request.environ, "Last-Event-ID")),
        ("after", request.args.get("after")),
    ):
        if text is None or not text.strip():
            continue
        if not _NUMBER.fullmatch(text.strip()):
            raise UnsupportedValue(f"`{name}` must be the number of an event, from 0.", param=name)
        return int(text)
    return 0


def stream_events(events: RunEvents, position: int, request: GatewayRequest) -> GatewayResponse:
    """The events after `position`, to the end of the run. Raises UnsupportedValue (there are not so
    many), EventsGone and Overloaded.
    """
    log = events.log
    if position < log.first:
        raise EventsGone(
            f"Of this run only the events behind number {log.first} are kept: read on from there."
        )
    if log.end is not None and position >= log.length:
        if position > log.length:
            raise UnsupportedValue(f"The run has ended with event {log.length}.", param="after")
        return GatewayResponse(status=204)  # which tells browsers not to connect again
    leave = request.gateway.runs.readers.join(log)
    chunks = _chunks(events, position, request.gateway)
    body = RunBody(events.run, chunks, request)
    body.on_close.append(leave)
    return RunResponse(body, HEADERS, CONTENT_TYPE)


def _chunks(events: RunEvents, position: int, gateway: Gateway) -> Iterator[bytes]:
    sse = gateway.settings.gateway.sse
    quiet = QUIET_EVENT if sse.keepalive == "chunk" else KEEPALIVE
    silence = math.inf if sse.keepalive == "off" else sse.keepalive_seconds
    encoder = EventEncoder(position)
    yield KEEPALIVE  # so that the headers leave
    sent_at = time.monotonic()
    try:
        for batch in events.log.follow(position, min(silence, LOOK_SECONDS)):
            if batch:
                yield from in_slices(encoder.encode(batch))
            elif gateway.runs.draining and not isinstance(events.run, Run):
                return  # the run goes on elsewhere: its followers find it there
            elif time.monotonic() - sent_at > silence - LOOK_SECONDS:  # rather early than late
                yield quiet
            else:
                continue
            sent_at = time.monotonic()
    except Exception:
        logger.exception("a stream failed on a fault of the gateway")
        error = orjson.dumps(envelope(InternalError("The gateway failed on this request.")))
        yield b"event: error\ndata: " + error + b"\n\n"  # without a number: the run goes on
