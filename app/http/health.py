"""Is the process alive, and is it ready for work? (Contract, HTTP section 1.) No secret is asked."""

from __future__ import annotations

import orjson
from flask import Blueprint, Response, request

from app.http.access import current_gateway

bp = Blueprint("health", __name__)

LIVE = orjson.dumps({"ok": True, "status": "live"})


@bp.get("/health")
@bp.get("/healthz")
def health() -> Response:
    """Answers as long as the worker turns; touches nothing."""
    return Response(LIVE, content_type="application/json")


@bp.get("/ready")
@bp.get("/readyz")
def ready() -> Response:
    """503 while the gateway drains or what it depends on is down; `?verbose` tells more."""
    readiness = current_gateway().readiness(verbose="verbose" in request.args)
    status = 200 if readiness["ready"] else 503
    return Response(orjson.dumps(readiness), status, content_type="application/json")
