"""`GET /v1/models`: the agents, as models a client can pick (docs/http.md#choosing-the-agent)."""

from __future__ import annotations

from typing import Any

import orjson

from app.errors import GatewayError, ModelNotFound
from app.exchange import GatewayResponse, json_answer
from app.http.access import current_gateway, require_reader
from app.http.switches import CHAT_COMPLETIONS, SwitchedBlueprint
from app.routing.resolve import resolve_agent

bp = SwitchedBlueprint("models", __name__, CHAT_COMPLETIONS)
bp.before_request(require_reader)


@bp.get("/v1/models")
def list_models() -> GatewayResponse:
    agents = current_gateway().settings.agents
    names = ["openclaw", "openclaw/default", *(f"openclaw/{agent.id}" for agent in agents)]
    document = {"object": "list", "data": [_model(name) for name in dict.fromkeys(names)]}
    return json_answer(orjson.dumps(document))


@bp.get("/v1/models/<path:name>")
def get_model(name: str) -> GatewayResponse:
    """A model by any name that a request may use for it. Raises ModelNotFound."""
    try:
        resolve_agent(name, None, current_gateway().settings.agents)
    except GatewayError as error:
        raise ModelNotFound(error.message, param="model") from error
    return json_answer(orjson.dumps(_model(name)))


def _model(name: str) -> dict[str, Any]:
    created = int(current_gateway().status.started_at)
    return {"id": name, "object": "model", "created": created, "owned_by": "openclaw"}
