"""The Flask application: an explicit list of blueprints, and the headers of every answer."""

from __future__ import annotations

from flask import Flask

from app.exchange import GatewayApp, GatewayResponse, current_request
from app.gateway import Gateway
from app.http import approvals, health, metrics, models
from app.http.chat_completions import routes as chat_completions
from app.http.cors import add_cors_headers
from app.http.errors import register_error_handlers
from app.http.gate import Gate
from app.http.idempotency import REPLAYED
from app.http.openapi import routes as openapi
from app.http.request_log import record_answer
from app.http.run_api import routes as run_api
from app.http.run_headers import run_headers
from app.http.sessions import copies
from app.http.sessions import routes as sessions
from app.http.sessions.paths import SessionKey, WholeSessionKey
from app.http.tools import routes as tools
from app.ws.routes import register_websocket

EXTENSION = "gateway"
ALWAYS = (("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "no-referrer"))
NO_STORE = ("Cache-Control", "no-store")


def create_app(gateway: Gateway) -> Flask:
    """The application that serves `gateway`. Nothing is opened or started here."""
    app = GatewayApp(__name__, static_folder=None)
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    app.url_map.merge_slashes = False  # exact paths: a double slash is another address
    app.url_map.converters |= {"session_key": SessionKey, "whole_session_key": WholeSessionKey}
    app.extensions[EXTENSION] = gateway
    for blueprint in (
        health.bp,
        metrics.bp,
        openapi.bp,
        models.bp,
        approvals.bp,
        chat_completions.bp,
        run_api.bp,
        sessions.bp,
        copies.bp,
        tools.bp,
    ):
        app.register_blueprint(blueprint)
    app.before_request(Gate(gateway, app).check)
    app.after_request(_finish)
    register_error_handlers(app)
    register_websocket(app, gateway)
    return app


def _finish(response: GatewayResponse) -> GatewayResponse:
    """Add the headers that every answer has, then count and log it."""
    request = current_request()
    extra: tuple[tuple[str, str], ...] = (("X-Request-Id", request.id), *ALWAYS)
    if response.content_type == "application/json":
        extra += (NO_STORE,)
    if request.run is not None:
        extra += run_headers(request.run)
    if request.is_repeated:
        extra += (REPLAYED,)
    response.extra = extra
    add_cors_headers(request, response, request.gateway.settings.gateway.cors_origins)
    record_answer(request, response)
    return response
