"""What may be chosen: models, commands (docs/websocket.md#methods)."""

from __future__ import annotations

from typing import Any

from app.clock import now_ms
from app.config.settings import ModelSettings
from app.control.commands import COMMANDS
from app.gateway import Gateway
from app.model_name import ModelName
from app.ws.call import Call, Handler

_MODEL_ARGS = [{"name": "model", "description": "provider/model, or default", "type": "string"}]


def list_models(call: Call) -> Any:
    """The models that a conversation may choose from."""
    return {"models": dump_models(call.gateway)}


def dump_models(gateway: Gateway) -> list[dict[str, Any]]:
    """The models that a conversation may choose from."""
    return [_dump_model(ModelName.parse(name), model) for name, model in gateway.models.usable().items()]


def list_commands(_: Call) -> Any:
    """The commands of `chat.send`."""
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
            **({"args": _MODEL_ARGS} if name == "model" else {}),
        }
        for name, meaning in COMMANDS.items()
    ]


def chat_metadata(call: Call) -> Any:
    """Commands and models, for a chat's menus."""
    return {"commands": dump_commands(), "models": dump_models(call.gateway)}


def auth_status(_: Call) -> Any:
    """Providers are known by their keys alone: there are no logins that could have a state."""
    return {"ts": now_ms(), "providers": []}


def _dump_model(name: ModelName, model: ModelSettings) -> dict[str, Any]:
    row = {
        "id": model.id,
        "name": model.name or model.id,
        "provider": name.provider,
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
}
