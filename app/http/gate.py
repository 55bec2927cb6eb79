"""What every request goes through before its route, in this order, and what is refused on the way.

The gate knows nothing of bodies and callers: after it, a blueprint's own `before_request` checks the secret
(`access.py`), and the route reads the body; an upgrade to WebSocket goes on in `app/ws/routes.py`.
docs/http.md#order-of-checks says the same to users.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial

from flask import Flask
from werkzeug.exceptions import MethodNotAllowed
from werkzeug.routing import Map

from app.auth.authenticate import Caller
from app.auth.origin import check_request
from app.config.settings import GatewaySettings
from app.errors import EndpointDisabled, NotFound
from app.exchange import GatewayRequest, GatewayResponse, current_request, sent_header
from app.gateway import Gateway
from app.http.connection import limit_writes
from app.http.cors import answer_preflight
from app.http.health import HEALTH_PATHS
from app.http.switches import Switch, switches_of
from app.ids import request_id_from
from app.logs import lines as logs

# A setting of OpenClaw whose endpoint is not served; the answer says so rather than that the path is wrong.
NOT_SERVED = {"/v1/responses": "gateway.http.endpoints.responses.enabled"}


class Gate:
    """Made when all blueprints are registered: it looks up their switches once."""

    def __init__(self, gateway: Gateway, app: Flask) -> None:
        self._gateway = gateway
        self._routes = app.url_map
        self._switches = switches_of(app)

    def check(self) -> GatewayResponse | None:
        """For `before_request`: the answer to a CORS preflight, else None. Raises what refuses a request."""
        request, all_settings = current_request(), self._gateway.settings
        settings = all_settings.gateway
        request.gateway, request.started_at = self._gateway, time.monotonic()
        environ = request.environ
        request.caller = Caller(environ.get("REMOTE_ADDR", ""), partial(sent_header, environ))
        assign_request_id(request)
        limit_writes(environ, all_settings.limits.write_seconds)
        check_origin(request, settings)
        check_exact_path(request)
        preflight = answer_preflight(request, settings)
        if preflight is None:
            check_switch(request, settings, self._switches, self._routes)
        return preflight


def assign_request_id(request: GatewayRequest) -> None:
    """Give the request its id, its own or a new one, for errors, the answer's headers and the log."""
    request.id = request_id_from(request.environ.get("HTTP_X_REQUEST_ID"))
    logs.request_id.set(request.id)


def check_origin(request: GatewayRequest, settings: GatewaySettings) -> None:
    """Against pages of other sites, over HTTP and WebSocket. Health checks may come from anywhere.

    Raises HostNotAllowed, OriginNotAllowed and Forbidden.
    """
    is_upgrade = request.is_upgrade
    if is_upgrade or request.path not in HEALTH_PATHS:
        check_request(request.caller, settings, is_upgrade)


def check_exact_path(request: GatewayRequest) -> None:
    """Werkzeug joins several slashes at the beginning of `request.path` into one. Raises NotFound."""
    if request.environ.get("PATH_INFO", "").startswith("//"):
        raise NotFound("There is nothing at this address.")


def check_switch(
    request: GatewayRequest, settings: GatewaySettings, switches: Mapping[str, Switch], routes: Map
) -> None:
    """Raises EndpointDisabled. WebSocket upgrades match routes of their own, which have no switch."""
    rule = request.url_rule
    endpoint = _endpoint_of_other_method(request, routes) if rule is None else rule.endpoint
    switch = switches.get(endpoint)
    if switch is not None and not switch.is_on(settings):
        raise EndpointDisabled(
            f"This endpoint is switched off. Set {switch.setting} to true in the configuration, or "
            f"{switch.variable}=1 in the environment."
        )
    if rule is None and (setting := NOT_SERVED.get(request.path)) is not None:
        raise EndpointDisabled(f"This endpoint ({setting}) is not served by this version.")


def _endpoint_of_other_method(request: GatewayRequest, routes: Map) -> str:
    """The Flask endpoint that serves this path to another method, else an empty string.

    It is 405 only while it is switched on. Flask has matched no rule then, so it is matched again.
    """
    error = request.routing_exception
    if not isinstance(error, MethodNotAllowed) or not error.valid_methods:
        return ""
    method = next(iter(error.valid_methods))
    endpoint: str = routes.bind("").match(request.path, method)[0]
    return endpoint
