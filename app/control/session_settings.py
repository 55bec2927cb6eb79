"""What may be set for a session, and how (docs/websocket.md, "Settings of a session")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from app.auth.grants import require, require_session_model
from app.auth.principal import Principal
from app.auth.scopes import ADMIN
from app.control.models import Models
from app.errors import InvalidRequest
from app.sessions.keys import MAX_LABEL

MAX_OTHER_BYTES = 2048  # of a setting's value as JSON
MAX_NAME = 64  # characters

_LEVELS: Mapping[str, tuple[str, ...]] = {
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
_WRITE_SCOPE = frozenset(
    {"label", "displayName", "model", "thinkingLevel"}
    | {"autoLabel", "icon", "color", "category", "pinned", "archived", "unread", "fastMode"}
)


def load_changes(given: Mapping[str, Any], models: Models) -> dict[str, Any]:
    """The settings that a patch changes, with their new values; None clears one.

    A setting that the gateway does not know is kept as it is, for clients that do. Raises InvalidRequest.
    """
    changes: dict[str, Any] = {}
    for name, value in given.items():
        if name not in _NOT_SETTINGS:
            try:
                changes[name] = None if value is None else _loaded(name, value, models)
            except InvalidRequest as error:
                error.param = error.param or name[:MAX_NAME]
                raise
    return changes


def needs_admin(changes: Mapping[str, Any]) -> bool:
    """Whether some of `changes` are only for operators with the scope `operator.admin`."""
    return not changes.keys() <= _WRITE_SCOPE


def require_changes(principal: Principal, changes: Mapping[str, Any]) -> None:
    """Raise MissingScope or Forbidden unless `principal` may make these changes to a session of its own."""
    if needs_admin(changes):
        require(principal, ADMIN)
    if "model" in changes:
        require_session_model(principal)


def _loaded(name: str, value: Any, models: Models) -> Any:
    if name == "label":
        return _label(value)
    if name == "displayName":
        return _text(name, value)
    if name == "model":
        return models.find(_text(name, value))
    if name in _LEVELS:
        return _level(name, value)
    if len(name) > MAX_NAME or len(_dump(name, value)) > MAX_OTHER_BYTES:
        raise InvalidRequest(f"invalid {name[:MAX_NAME]}: too long")
    return value


def _level(name: str, value: Any) -> str:
    level = value.strip().lower() if isinstance(value, str) else ""
    if level not in _LEVELS[name]:
        raise InvalidRequest(f"invalid {name} (use {'|'.join(_LEVELS[name])})")
    return level


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
        text = orjson.dumps(value)
    except TypeError as error:
        raise InvalidRequest(f"invalid {name}: not valid text") from error
    if rb"\u0000" in text:  # what not every database can store
        raise InvalidRequest(f"invalid {name[:MAX_NAME]}: a NUL character")
    return text
