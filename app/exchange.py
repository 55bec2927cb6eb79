"""Flask's application, request and answer, with what the gateway knows of a request and says in an answer.

What a request carries is kept on it, for each look at `flask.g` goes through three layers of proxies.
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
    """`gateway`, `id` and `started_at` (monotonic) are set before anything else is done with a request;
    `principal` by `require_principal`, `run` by the route that starts one."""

    gateway: Gateway
    id: str = ""
    started_at: float = 0.0
    principal: Principal
    run: Run | None = None
    stranger: str | None = None  # the address of a WebSocket client that has not yet shown who it is


class GatewayResponse(Response):
    """`extra` headers go out as they are: who adds one vouches that it is short and has no line break."""

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
        """Nothing here is a coroutine, so nothing has to be looked at for being one."""
        return func


def current_request() -> GatewayRequest:
    """The request itself: every look at it through Flask's proxy is several calls."""
    found: GatewayRequest = request._get_current_object()  # type: ignore[attr-defined]
    return found


def json_answer(body: bytes, status: int = 200) -> GatewayResponse:
    return GatewayResponse(body, status, content_type="application/json")
