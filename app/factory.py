"""The Flask application: an explicit list of blueprints, and what holds for every answer."""

from __future__ import annotations

from flask import Flask, Request, Response, g

from app.bootstrap import Gateway
from app.config.settings import GatewaySettings
from app.errors import EndpointDisabled, NotFound
from app.http import health, metrics, models
from app.http.access import EXTENSION, check_name, current_gateway, current_request, name_request
from app.http.chat_completions import routes as chat_completions
from app.http.cors import add_cors_headers, answer_preflight
from app.http.errors import register_error_handlers
from app.http.openapi import routes as openapi
from app.http.request_log import note_answer, note_start
from app.http.run_headers import add_run_headers, current_run
from app.ws.routes import register_websocket

CHAT_PATHS = ("/v1/chat/completions", "/v1/models")


def create_app(gateway: Gateway) -> Flask:
    app = Flask(__name__, static_folder=None)
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    app.url_map.merge_slashes = False  # exact paths: a double slash is another address
    app.extensions[EXTENSION] = gateway
    app.before_request(_begin)
    app.after_request(_finish)
    register_error_handlers(app)
    register_websocket(app, gateway)
    for blueprint in (health.bp, metrics.bp, openapi.bp, models.bp, chat_completions.bp):
        app.register_blueprint(blueprint)
    return app


def _begin() -> Response | None:
    """What is looked at before any route, in this order."""
    request, settings = current_request(), current_gateway().settings.gateway
    note_start()
    name_request(request)
    check_name(request, settings)
    _refuse_inexact(request)
    preflight = answer_preflight(request, settings)
    if preflight is None:
        _refuse_disabled(request, settings)
    return preflight


def _refuse_inexact(request: Request) -> None:
    """Flask reads several slashes at the beginning as one."""
    if request.path.startswith("//") or request.environ.get("PATH_INFO", "").startswith("//"):
        raise NotFound("There is nothing at this address.")


def _refuse_disabled(request: Request, settings: GatewaySettings) -> None:
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


def _finish(response: Response) -> Response:
    """What every answer has, and the note of it."""
    request, gateway = current_request(), current_gateway()
    headers = response.headers
    # Added, not set: to set one, werkzeug looks through all the others.
    headers.add("X-Request-Id", g.get("request_id", ""))
    headers.add("X-Content-Type-Options", "nosniff")
    headers.add("Referrer-Policy", "no-referrer")
    if response.mimetype == "application/json":
        headers.add("Cache-Control", "no-store")
    run = current_run()
    if run is not None:
        add_run_headers(response, run)
    add_cors_headers(request, response, gateway.settings.gateway.cors_origins)
    note_answer(request, response, run)
    return response
