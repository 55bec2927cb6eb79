"""What may be set for a session, and how (contract, WebSocket section 5, `sessions.patch`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from app.errors import InvalidRequest
from app.gateway import Gateway

MAX_LABEL = 512
MAX_OTHER_BYTES = 2048
MAX_NAME = 64

_WORDS: Mapping[str, tuple[str, ...]] = {
    "thinkingLevel": ("off", "minimal", "low", "medium", "high", "xhigh", "adaptive", "max"),
    "verboseLevel": ("on", "off", "full"),
    "reasoningLevel": ("on", "off", "stream"),
    "responseUsage": ("off", "tokens", "full", "on"),
    "elevatedLevel": ("on", "off", "ask", "full"),
    "sendPolicy": ("allow", "deny"),
    "groupActivation": ("mention", "always"),
}
_NOT_SETTINGS = frozenset(
    {"key", "agentId", "sessionId", "createdAt", "updatedAt", "lifecycleRevision", "modelProvider"}
    | {"expectedSessionId", "expectedLifecycleRevision"}
)
_FOR_WRITERS = frozenset(
    {"label", "displayName", "model", "thinkingLevel"}
    | {"autoLabel", "icon", "color", "category", "pinned", "archived", "unread", "fastMode"}
)


def load_changes(given: Mapping[str, Any], gateway: Gateway) -> dict[str, Any]:
    """The changes that a patch asks for; None clears. What we do not know is kept for clients that do.

    Raises InvalidRequest.
    """
    return {
        name: None if value is None else _loaded(name, value, gateway)
        for name, value in given.items()
        if name not in _NOT_SETTINGS
    }


def needs_admin(changes: Mapping[str, Any]) -> bool:
    """Whether there is more among them than who may write may set: the rest is for who may all."""
    return not changes.keys() <= _FOR_WRITERS


def find_model(wanted: str, gateway: Gateway) -> str:
    """`provider/model` for a name that may lack its provider. Raises InvalidRequest."""
    name = wanted.strip()
    if not name:
        raise InvalidRequest("invalid model: empty")
    if name.partition("/")[0] not in gateway.settings.providers:
        same = [f"{provider}/{model.id}" for provider, model in gateway.models() if model.id == name]
        name = same[0] if len(same) == 1 else name
    return gateway.known_model(name)


def _loaded(name: str, value: Any, gateway: Gateway) -> Any:
    if name == "label":
        return _label(value)
    if name == "displayName":
        return _text(name, value)
    if name == "model":
        return find_model(_text(name, value), gateway)
    if name in _WORDS:
        return _word(name, value)
    if len(name) > MAX_NAME or len(_dump(name, value)) > MAX_OTHER_BYTES:
        raise InvalidRequest(f"invalid {name[:MAX_NAME]}: too long")
    return value


def _word(name: str, value: Any) -> str:
    word = value.strip().lower() if isinstance(value, str) else ""
    if word not in _WORDS[name]:
        raise InvalidRequest(f"invalid {name} (use {'|'.join(_WORDS[name])})")
    return word


def _label(value: Any) -> str:
    label = _text("label", value).strip()
    if not label:
        raise InvalidRequest("invalid label: empty")
    if len(label) > MAX_LABEL:
        raise InvalidRequest(f"invalid label: too long (max {MAX_LABEL})")
    return label


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise InvalidRequest(f"invalid {name}: must be a string")
    _dump(name, value)
    return value[:MAX_OTHER_BYTES]


def _dump(name: str, value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError as error:
        raise InvalidRequest(f"invalid {name}: not valid text") from error
