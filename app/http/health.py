"""Liveness and readiness, without a secret (docs/http.md#health-readiness-metrics)."""

from __future__ import annotations

import orjson
from flask import Blueprint

from app.exchange import GatewayResponse, current_request, json_answer

bp = Blueprint("health", __name__)

HEALTH_PATHS = ("/health", "/healthz", "/ready", "/readyz")
LIVE = orjson.dumps({"ok": True, "status": "live"})


@bp.get("/health")
@bp.get("/healthz")
def health() -> GatewayResponse:
    """200 as long as the worker serves requests at all; looks at nothing else."""
    return json_answer(LIVE)


@bp.get("/ready")
@bp.get("/readyz")
def ready() -> GatewayResponse:
    """200, or 503 while the gateway drains or its storage is down; `?verbose` adds details."""
    request = current_request()
    readiness = request.gateway.status.readiness(verbose="verbose" in request.args)
    return json_answer(orjson.dumps(readiness), 200 if readiness["ready"] else 503)
