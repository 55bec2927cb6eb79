"""Flask's application, request and response classes, with what the gateway adds to them.

What belongs to a request is kept on the request object: `flask.g` is reached through three layers of proxies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from flask import Flask, Request, Response, request

if TYPE_CHECKING:
    from app.auth.principal import Principal
    from app.gateway import Gateway
    from app.runs.run import Run


class GatewayRequest(Request):
    """`gateway`, `id` and `started_at` (`time.monotonic()`) are set by `http.gate` before anything else;
    `principal` by `require_principal`, `run` by the route that starts one.
    """

    gateway: Gateway
    id: str = ""
    started_at: float = 0.0
    principal: Principal
    run: Run | None = None
    unauthenticated_address: str | None = None  # of a WebSocket client, until it has authenticated


class GatewayResponse(Response):
    """`extra` headers are sent as they are: code that adds one must make sure that it has no line break."""

    extra: tuple[tuple[str, str], ...] = ()

    def get_wsgi_response(
        self, environ: dict[str, Any]
    ) -> tuple[Iterable[bytes], str, list[tuple[str, str]]]:
        body, status, headers = super().get_wsgi_response(environ)
        return body, status, [*headers, *self.extra]


class GatewayApp(Flask):
    request_class = GatewayRequest
    response_class = GatewayResponse

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Flask's own checks each view and hook, at each call, for being a coroutine function. None is."""
        return func


def current_request() -> GatewayRequest:
    """The current request itself: every attribute read through Flask's proxy costs several calls.

    `_get_current_object` is the documented way of Werkzeug's `LocalProxy`, in spite of its underscore.
    """
    found: GatewayRequest = request._get_current_object()  # type: ignore[attr-defined]
    return found


def json_answer(body: bytes, status: int = 200) -> GatewayResponse:
    """A response with serialised JSON."""
    return GatewayResponse(body, status, content_type="application/json")
