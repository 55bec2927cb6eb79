"""`GET /metrics`, for Prometheus (docs/http.md#health-readiness-metrics)."""

from __future__ import annotations

from flask import Blueprint, Response

from app.http.access import current_gateway, require_operator
from app.metrics import CONTENT_TYPE

bp = Blueprint("metrics", __name__)


@bp.before_request
def check_access() -> None:
    """Require an operator unless `gateway.metrics.public` is set: the numbers are of all users together."""
    if not current_gateway().settings.gateway.metrics_public:
        require_operator()


@bp.get("/metrics")
def show_metrics() -> Response:
    return Response(current_gateway().metrics.dump(), content_type=CONTENT_TYPE)
