"""`GET /v1/models`: the agents, as models a client can pick (contract, HTTP section 9)."""

from __future__ import annotations

from typing import Any

import orjson
from flask import Blueprint, Response

from app.errors import GatewayError, ModelNotFound
from app.http.access import current_gateway, require_principal
from app.routing.resolve import resolve_agent

bp = Blueprint("models", __name__)
bp.before_request(require_principal)


@bp.get("/v1/models")
def list_models() -> Response:
    agents = current_gateway().settings.agents
    names = ["openclaw", "openclaw/default", *(f"openclaw/{agent.id}" for agent in agents)]
    return _json({"object": "list", "data": [_model(name) for name in dict.fromkeys(names)]})


@bp.get("/v1/models/<path:name>")
def get_model(name: str) -> Response:
    """A model by any name that a request may use for it."""
    try:
        resolve_agent(name, None, current_gateway().settings.agents)
    except GatewayError as error:
        raise ModelNotFound(error.message, param="model") from error
    return _json(_model(name))


def _model(name: str) -> dict[str, Any]:
    created = int(current_gateway().started_at)
    return {"id": name, "object": "model", "created": created, "owned_by": "openclaw"}


def _json(document: object) -> Response:
    return Response(orjson.dumps(document), content_type="application/json")
