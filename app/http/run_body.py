"""An answer that is written while its run goes on, in whatever format."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from app.exchange import GatewayRequest, GatewayResponse
from app.http.connection import ClientWatch, client_left
from app.runs.run import Run


class RunResponse(GatewayResponse):
    """The server gets the body without Werkzeug's layers, so the body runs the `call_on_close` functions."""

    def __init__(self, body: RunBody, headers: Mapping[str, str], content_type: str) -> None:
        super().__init__(body, headers=headers, content_type=content_type, direct_passthrough=True)
        self._body = body

    def call_on_close(self, func: Callable[[], Any]) -> Callable[[], Any]:
        self._body.on_close.append(func)
        return func


class RunBody:
    """The WSGI body: `chunks`, which must not raise. If the client disconnects before the end, the run is
    aborted. The server calls `close` however the response ends (PEP 3333).
    """

    def __init__(self, run: Run, chunks: Iterator[bytes], request: GatewayRequest) -> None:
        self._run = run
        self._chunks = chunks
        self._streams = request.gateway.metrics.active_streams
        self._streams.inc()
        # Not a bound method: that would be a reference cycle, which keeps the run until garbage collection.
        self._watch = ClientWatch(request.environ, partial(abort_left, run))
        self._watch.start()
        self.on_close: list[Callable[[], object]] = []

    def __iter__(self) -> Iterator[bytes]:
        return self._chunks

    def close(self) -> None:
        self._watch.stop()
        self._streams.dec()
        abort_left(self._run)
        for call in self.on_close:
            call()


def abort_left(run: Run) -> None:
    """Abort a run whose client has left; nothing if it has ended."""
    run.abort(client_left())
