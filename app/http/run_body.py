"""An answer that is written while its run goes on, in whatever format."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from app.exchange import GatewayRequest, GatewayResponse
from app.http.connection import ClientWatch, client_left
from app.runs.followed_elsewhere import RunElsewhere
from app.runs.repeats import AnyRun


class RunResponse(GatewayResponse):
    """The server gets the body without Werkzeug's layers, so the body runs the `call_on_close` functions."""

    def __init__(self, body: RunBody, headers: Mapping[str, str], content_type: str) -> None:
        super().__init__(body, headers=headers, content_type=content_type, direct_passthrough=True)
        self._body = body

    def call_on_close(self, func: Callable[[], Any]) -> Callable[[], Any]:
        self._body.on_close.append(func)
        return func


class RunBody:
    """The WSGI body: `chunks`, which must not raise, for one follower of the run; None is one that needs no
    followers. The server calls `close` however the response ends (PEP 3333).
    """

    def __init__(
        self, run: AnyRun | RunElsewhere | None, chunks: Iterator[bytes], request: GatewayRequest
    ) -> None:
        self._leave = run.followed(client_left()).leave if run is not None else _nobody_leaves
        self._chunks = chunks
        self._streams = request.gateway.metrics.active_streams
        self._streams.inc()
        # Not a method of this object: that would be a cycle, which keeps the run until garbage collection.
        self._watch = ClientWatch(request.environ, self._leave)
        self._watch.start()
        self.on_close: list[Callable[[], object]] = []

    def __iter__(self) -> Iterator[bytes]:
        return self._chunks

    def close(self) -> None:
        self._watch.stop()
        self._streams.dec()
        self._leave()
        for call in self.on_close:
            call()


def _nobody_leaves() -> None: ...
