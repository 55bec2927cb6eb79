"""What may be chosen: models, commands, tools (contract, WebSocket section 5)."""

from __future__ import annotations

import time
from typing import Any

from app.config.settings import ModelSettings
from app.gateway import Gateway
from app.routing.operator import resolve_agent_id
from app.ws.call import Call, Handler
from app.ws.methods.commands import COMMANDS
from app.ws.methods.session_rows import known_model, model_of

_TAKES_MODEL = [{"name": "model", "description": "provider/model, or default", "type": "string"}]


def list_models(call: Call) -> Any:
    return {"models": dump_models(call.gateway)}


def dump_models(gateway: Gateway) -> list[dict[str, Any]]:
    """The listed models, then those that agents use though nobody listed them."""
    found = {f"{provider}/{model.id}": model for provider, model in gateway.models()}
    for agent in gateway.settings.agents:
        for name in (model_of(gateway, agent.id), *agent.fallbacks):
            known = known_model(gateway, name)
            if known is not None:
                found.setdefault(name, known)
    return [_dump_model(name.partition("/")[0], model) for name, model in found.items()]


def list_commands(_: Call) -> Any:
    return {"commands": dump_commands()}


def dump_commands() -> list[dict[str, Any]]:
    """What may be typed in place of a message."""
    return [
        {
            "name": name,
            "nativeName": name,
            "textAliases": [f"/{name}"],
            "description": meaning,
            "category": "session",
            "source": "native",
            "scope": "both",
            "acceptsArgs": name == "model",
            **({"args": _TAKES_MODEL} if name == "model" else {}),
        }
        for name, meaning in COMMANDS.items()
    ]


def chat_metadata(call: Call) -> Any:
    return {"commands": dump_commands(), "models": dump_models(call.gateway)}


def auth_status(_: Call) -> Any:
    """Providers are known by their keys alone: there are no logins whose state could be told."""
    return {"ts": time.time_ns() // 1_000_000, "providers": []}


def tools_catalog(call: Call) -> Any:
    agent_id = resolve_agent_id(call.params.optional_text("agentId"), call.gateway.settings)
    return {"agentId": agent_id, "profiles": [], "groups": []}


def _dump_model(provider: str, model: ModelSettings) -> dict[str, Any]:
    row = {
        "id": model.id,
        "name": model.name or model.id,
        "provider": provider,
        "contextWindow": model.context_window,
        "reasoning": model.reasoning,
        "input": list(model.input),
    }
    return {name: value for name, value in row.items() if value is not None}


MODELS: dict[str, Handler] = {
    "models.list": list_models,
    "models.authStatus": auth_status,
    "commands.list": list_commands,
    "chat.metadata": chat_metadata,
    "tools.catalog": tools_catalog,
}
