"""`GET /openapi.json`, without a secret: it says nothing that docs/http.md does not."""

from __future__ import annotations

from flask import Blueprint

from app.exchange import GatewayResponse, json_answer
from app.http.openapi.document import dump_document

bp = Blueprint("openapi", __name__)


@bp.get("/openapi.json")
def show_openapi() -> GatewayResponse:
    return json_answer(dump_document())
