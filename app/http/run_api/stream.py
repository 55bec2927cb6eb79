"""A run's events as they come, for anybody who may see the run, from any position (docs/runs.md#events)."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator

import orjson

from app.config.settings import SseSettings
from app.control.runs import RunEvents
from app.errors import EventsGone, InternalError, UnsupportedValue
from app.exchange import GatewayRequest, GatewayResponse, sent_header
from app.http.errors import envelope
from app.http.run_api.encoder import EventEncoder
from app.http.run_body import RunBody, RunResponse
from app.http.sse import CONTENT_TYPE, HEADERS, KEEPALIVE, in_slices

logger = logging.getLogger("app.http")

QUIET_EVENT = b"event: keepalive\ndata: {}\n\n"  # for clients that cannot skip comments
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
    chunks = _chunks(events, position, request.gateway.settings.gateway.sse)
    body = RunBody(events.run, chunks, request)
    body.on_close.append(leave)
    return RunResponse(body, HEADERS, CONTENT_TYPE)


def _chunks(events: RunEvents, position: int, sse: SseSettings) -> Iterator[bytes]:
    quiet = QUIET_EVENT if sse.keepalive == "chunk" else KEEPALIVE
    encoder = EventEncoder(position)
    yield KEEPALIVE  # so that the headers leave
    try:
        for batch in events.log.follow(position, None if sse.keepalive == "off" else sse.keepalive_seconds):
            yield from in_slices(encoder.encode(batch) if batch else quiet)
    except Exception:
        logger.exception("a stream failed on a fault of the gateway")
        error = orjson.dumps(envelope(InternalError("The gateway failed on this request.")))
        yield b"event: error\ndata: " + error + b"\n\n"  # without a number: the run goes on
