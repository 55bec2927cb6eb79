"""`config.*`: the configuration file, read without its secrets, and changed (docs/websocket.md#methods).

A change is in force about a second later, when the watch of the file has read it.
"""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from typing import Any

from app import VERSION
from app.config.edit import ChangedConfig
from app.config.shown.json_schema import children, config_schema, lookup, ui_hints
from app.errors import InvalidRequest
from app.logs.lines import log_event
from app.ws.call import Call, Handler

logger = logging.getLogger("app.ws")

MAX_LOGGED_KEYS = 50


def get(call: Call) -> Any:
    """The configuration file and the settings in force, both without secrets."""
    shown = call.gateway.config_file.show()
    tree = shown.tree if isinstance(shown.tree, dict) else {}
    return {
        "path": str(shown.path),
        "exists": shown.text is not None,
        "raw": shown.text,
        "parsed": tree,
        "valid": not shown.problems,
        "config": tree,
        "effective": shown.effective,
        "hash": shown.hash,
        "issues": [{"path": "", "message": problem} for problem in shown.problems],
        "warnings": [],
        "legacyIssues": [],
    }


def schema(_: Call) -> Any:
    """What may be in the file, as JSON Schema, with hints for a form."""
    return {
        "schema": config_schema(),
        "uiHints": ui_hints(),
        "version": VERSION,
        "generatedAt": datetime.fromtimestamp(time.time(), UTC).isoformat(),
    }


def lookup_schema(call: Call) -> Any:
    """The schema of one path, and what may stand below it. Raises InvalidRequest: there is no such path."""
    path = call.params.text("path")
    found = lookup(path)
    if found is None:
        raise InvalidRequest("config schema path not found")
    hints = ui_hints()
    required = found.get("required", ())
    return {
        "path": path,
        "schema": {name: value for name, value in found.items() if name not in ("properties", "items")},
        "hint": hints.get(path),
        "children": [
            {
                "key": key,
                "path": f"{path}.{key}",
                "type": inner.get("type"),
                "required": key in required,
                "hasChildren": bool(children(inner)),
                "hint": hints.get(f"{path}.{key}"),
            }
            for key, inner in children(found)
        ],
    }


def replace(call: Call) -> Any:
    """`config.set` and `config.apply`: the whole file."""
    changed = call.gateway.config_file.replace(call.params.text("raw"), _base_hash(call))
    return _answer(call, changed)


def patch(call: Call) -> Any:
    """A merge patch of the file (`ConfigFile.patch`)."""
    changed = call.gateway.config_file.patch(call.params.text("raw"), _base_hash(call))
    return _answer(call, changed)


def _base_hash(call: Call) -> str | None:
    return (call.params.optional_text("baseHash") or "").strip() or None


def _shortened(keys: tuple[str, ...]) -> str:
    """The keys for a log line: the first of very many."""
    rest = len(keys) - MAX_LOGGED_KEYS
    return ", ".join(keys[:MAX_LOGGED_KEYS]) + (f" and {rest} more" if rest > 0 else "")


def _answer(call: Call, changed: ChangedConfig) -> dict[str, Any]:
    if changed.changed:
        log_event(
            logger,
            logging.INFO,
            "configuration written",
            keys=_shortened(changed.keys),
            method=call.params.method,
            client=call.peer.client.id,
            connection=call.peer.id,
        )
    answer = {"ok": True, "path": str(changed.path), "config": changed.tree, "hash": changed.hash}
    # Fields of gateways that restart for a change.
    answer |= {"restart": None, "sentinel": None}
    return answer if changed.changed else {**answer, "noop": True}


CONFIG: dict[str, Handler] = {
    "config.get": get,
    "config.schema": schema,
    "config.schema.lookup": lookup_schema,
    "config.set": replace,
    "config.apply": replace,
    "config.patch": patch,
}
