"""The Flask application: an explicit list of blueprints, and what holds for every answer."""

from __future__ import annotations

import time
from functools import partial

from flask import Flask

from app.config.settings import GatewaySettings
from app.errors import EndpointDisabled, NotFound
from app.exchange import GatewayApp, GatewayRequest, GatewayResponse, current_request
from app.gateway import Gateway
from app.http import health, metrics, models
from app.http.access import check_host_header, name_request
from app.http.chat_completions import routes as chat_completions
from app.http.cors import add_cors_headers, answer_preflight
from app.http.errors import register_error_handlers
from app.http.openapi import routes as openapi
from app.http.request_log import note_answer
from app.http.run_headers import run_headers
from app.ws.routes import register_websocket

EXTENSION = "gateway"
CHAT_PATHS = ("/v1/chat/completions", "/v1/models")
EVERY_ANSWER = (("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "no-referrer"))
NOT_KEPT = ("Cache-Control", "no-store")


def create_app(gateway: Gateway) -> Flask:
    app = GatewayApp(__name__, static_folder=None)
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    app.url_map.merge_slashes = False  # exact paths: a double slash is another address
    app.extensions[EXTENSION] = gateway
    app.before_request(partial(_begin, gateway))
    app.after_request(_finish)
    register_error_handlers(app)
    register_websocket(app, gateway)
    for blueprint in (health.bp, metrics.bp, openapi.bp, models.bp, chat_completions.bp):
        app.register_blueprint(blueprint)
    return app


def _begin(gateway: Gateway) -> GatewayResponse | None:
    """What is looked at before any route, in this order."""
    request, settings = current_request(), gateway.settings.gateway
    request.gateway, request.started_at = gateway, time.monotonic()
    name_request(request)
    check_host_header(request, settings)
    _refuse_inexact(request)
    preflight = answer_preflight(request, settings)
    if preflight is None:
        _refuse_disabled(request, settings)
    return preflight


def _refuse_inexact(request: GatewayRequest) -> None:
    """Flask reads several slashes at the beginning as one."""
    if request.path.startswith("//") or request.environ.get("PATH_INFO", "").startswith("//"):
        raise NotFound("There is nothing at this address.")


def _refuse_disabled(request: GatewayRequest, settings: GatewaySettings) -> None:
    """A switched-off address does not exist, whatever the method; the answer names the switch."""
    if "HTTP_UPGRADE" in request.environ:
        return  # the Gateway protocol is served on every path
    path = request.path
    switched = path in CHAT_PATHS or path.startswith("/v1/models/")
    if switched and not settings.chat_completions.enabled:
        raise EndpointDisabled(
            "This endpoint is switched off. Set gateway.http.endpoints.chatCompletions.enabled to true "
            "in the configuration."
        )
    if path == "/v1/responses":
        raise EndpointDisabled(
            "This endpoint (gateway.http.endpoints.responses.enabled) is not served by this version."
        )


def _finish(response: GatewayResponse) -> GatewayResponse:
    """What every answer has, and the note of it."""
    request = current_request()
    extra: tuple[tuple[str, str], ...] = (("X-Request-Id", request.id), *EVERY_ANSWER)
    if response.content_type == "application/json":
        extra += (NOT_KEPT,)
    if request.run is not None:
        extra += run_headers(request.run)
    response.extra = extra
    add_cors_headers(request, response, request.gateway.settings.gateway.cors_origins)
    note_answer(request, response)
    return response
