"""CORS: which web pages may read the API's answers (docs/http.md#host-names-and-web-pages).

The exact origins of `gateway.http.cors.origins`, none by default.
"""

from __future__ import annotations

from collections.abc import Collection

from app.config.settings import GatewaySettings
from app.exchange import GatewayRequest, GatewayResponse
from app.http.health import HEALTH_PATHS

METHODS = "GET, POST, OPTIONS"
MAX_AGE_SECONDS = "600"
EXPOSED = (
    "X-Request-Id, X-OpenClaw-Run-Id, X-OpenClaw-Agent-Id, X-OpenClaw-Session-Key, "
    "X-OpenClaw-Session-Source, X-OpenClaw-Usage, Server-Timing, Retry-After"
)


def answer_preflight(request: GatewayRequest, settings: GatewaySettings) -> GatewayResponse | None:
    """204 to a browser's preflight request, without a secret; None for any other request."""
    if request.method != "OPTIONS" or not settings.cors_origins or request.path in HEALTH_PATHS:
        return None
    return GatewayResponse(status=204)


def add_cors_headers(request: GatewayRequest, response: GatewayResponse, origins: Collection[str]) -> None:
    """Add the CORS headers for a page of an allowed origin, to errors, too: else it could not read them."""
    if not origins:
        return
    headers = response.headers
    headers.add("Vary", "Origin")
    origin = request.headers.get("Origin")
    if origin not in origins:
        return
    headers["Access-Control-Allow-Origin"] = origin
    headers["Access-Control-Expose-Headers"] = EXPOSED
    if request.method == "OPTIONS":
        requested = request.headers.get("Access-Control-Request-Headers", "Authorization, Content-Type")
        headers["Access-Control-Allow-Methods"] = METHODS
        headers["Access-Control-Allow-Headers"] = requested
        headers["Access-Control-Max-Age"] = MAX_AGE_SECONDS
