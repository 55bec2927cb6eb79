"""Is the process alive, and is it ready for work? (Contract, HTTP section 1.) No secret is asked."""

from __future__ import annotations

import orjson
from flask import Blueprint

from app.exchange import GatewayResponse, current_request, json_answer

bp = Blueprint("health", __name__)

LIVE = orjson.dumps({"ok": True, "status": "live"})


@bp.get("/health")
@bp.get("/healthz")
def health() -> GatewayResponse:
    """Answers as long as the worker turns; touches nothing."""
    return json_answer(LIVE)


@bp.get("/ready")
@bp.get("/readyz")
def ready() -> GatewayResponse:
    """503 while the gateway drains or what it depends on is down; `?verbose` tells more."""
    request = current_request()
    readiness = request.gateway.readiness(verbose="verbose" in request.args)
    return json_answer(orjson.dumps(readiness), 200 if readiness["ready"] else 503)
