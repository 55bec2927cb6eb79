"""The Flask application: an explicit list of blueprints, and what holds for every answer."""

from __future__ import annotations

from flask import Flask, Response, g, request

from app.bootstrap import Gateway
from app.errors import EndpointDisabled, NotFound
from app.http import health, metrics, models
from app.http.access import EXTENSION, check_name, current_gateway, name_request
from app.http.chat_completions import routes as chat_completions
from app.http.cors import add_cors_headers, answer_preflight
from app.http.errors import register_error_handlers
from app.http.openapi import routes as openapi
from app.http.request_log import note_answer, note_start
from app.http.run_headers import add_run_headers

CHAT_PATHS = ("/v1/chat/completions", "/v1/models")


def create_app(gateway: Gateway) -> Flask:
    app = Flask(__name__, static_folder=None)
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    app.url_map.merge_slashes = False  # exact paths: a double slash is another address
    app.extensions[EXTENSION] = gateway
    app.before_request(note_start)
    app.before_request(name_request)
    app.before_request(check_name)
    app.before_request(_refuse_inexact)
    app.before_request(answer_preflight)
    app.before_request(_refuse_disabled)
    app.after_request(_finish_headers)
    register_error_handlers(app)
    for blueprint in (health.bp, metrics.bp, openapi.bp, models.bp, chat_completions.bp):
        app.register_blueprint(blueprint)
    return app


def _refuse_inexact() -> None:
    """Flask reads several slashes at the beginning as one."""
    if request.path.startswith("//") or request.environ.get("PATH_INFO", "").startswith("//"):
        raise NotFound("There is nothing at this address.")


def _refuse_disabled() -> None:
    """A switched-off address does not exist, whatever the method; the answer names the switch."""
    path = request.path
    switched = path in CHAT_PATHS or path.startswith("/v1/models/")
    if switched and not current_gateway().settings.gateway.chat_completions.enabled:
        raise EndpointDisabled(
            "This endpoint is switched off. Set gateway.http.endpoints.chatCompletions.enabled to true "
            "in the configuration."
        )
    if path == "/v1/responses":
        raise EndpointDisabled(
            "This endpoint (gateway.http.endpoints.responses.enabled) is not served by this version."
        )


def _finish_headers(response: Response) -> Response:
    headers = response.headers
    headers["X-Request-Id"] = g.get("request_id", "")
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Referrer-Policy"] = "no-referrer"
    if response.mimetype == "application/json":
        headers["Cache-Control"] = "no-store"
    add_run_headers(response)
    add_cors_headers(response)
    note_answer(response)
    return response
