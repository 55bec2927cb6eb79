"""Which web pages may call the API: the exact origins of `gateway.http.cors.origins`, none by default."""

from __future__ import annotations

from flask import Response, request

from app.http.access import HEALTH_PATHS, current_gateway

METHODS = "GET, POST, OPTIONS"
MAX_AGE_SECONDS = "600"
EXPOSED = (
    "X-Request-Id, X-OpenClaw-Run-Id, X-OpenClaw-Agent-Id, X-OpenClaw-Session-Key, "
    "X-OpenClaw-Session-Source, X-OpenClaw-Usage, Server-Timing, Retry-After"
)


def answer_preflight() -> Response | None:
    """204 for a browser's question whether a page may call; no credential is asked for it."""
    origins = current_gateway().settings.gateway.cors_origins
    if request.method != "OPTIONS" or not origins or request.path in HEALTH_PATHS:
        return None
    return Response(status=204)


def add_cors_headers(response: Response) -> None:
    """On every answer to an allowed page, errors included: without them it could not read what is wrong."""
    origins = current_gateway().settings.gateway.cors_origins
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
        asked = request.headers.get("Access-Control-Request-Headers", "Authorization, Content-Type")
        headers["Access-Control-Allow-Methods"] = METHODS
        headers["Access-Control-Allow-Headers"] = asked
        headers["Access-Control-Max-Age"] = MAX_AGE_SECONDS
