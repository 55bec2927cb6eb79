"""What a server offers: its tools, read page by page, checked and bounded, under the names models see.

Also, of a server that has resources or prompts, the tools that read them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

import msgspec
import orjson

from app.cancel import Cancel
from app.messages import ToolSpec
from app.tools.mcp.names import NameFilter, tool_names
from app.tools.mcp.peer import Peer
from app.tools.mcp.protocol import McpError
from app.tools.mcp.results import clean

MAX_TOOLS = 512  # of one server
MAX_PAGES = 64
MAX_DESCRIPTION = 4000  # characters
MAX_SCHEMA_BYTES = 64 * 1024
MAX_SCHEMAS_BYTES = 1024 * 1024  # of all tools of a server
MAX_NAME = 256  # characters of a server's own name of a tool
MAX_LISTED = 1000  # resources or prompts

Kind = Literal["call", "resources_list", "resources_read", "prompts_list", "prompts_get"]

_STRING = {"type": "string"}
_UTILITIES: Mapping[Kind, tuple[str, str, dict[str, Any]]] = {
    "resources_list": (
        "resources",
        "List the resources of this server: their addresses and what they are.",
        {},
    ),
    "resources_read": ("resources", "Read a resource of this server.", {"uri": _STRING}),
    "prompts_list": ("prompts", "List the prompts of this server and their arguments.", {}),
    "prompts_get": (
        "prompts",
        "Get a prompt of this server, filled in with arguments.",
        {"name": _STRING, "arguments": {"type": "object", "additionalProperties": _STRING}},
    ),
}
_OPTIONAL = ("arguments",)


class ServerTool(msgspec.Struct, frozen=True):
    """`name` is the server's own; `spec` what the model gets. `kind`: which request a call of it is.

    `only_reads`: it says of itself that it changes nothing (the annotation `readOnlyHint`).
    """

    name: str
    spec: ToolSpec
    kind: Kind = "call"
    only_reads: bool = False


class ServerTools(msgspec.Struct, frozen=True):
    """`left_out`: name that a tool would have, or has, -> why it is not offered."""

    tools: tuple[ServerTool, ...] = ()
    left_out: Mapping[str, str] = msgspec.field(default_factory=dict)


def read_tools(
    peer: Peer, capabilities: Mapping[str, Any], prefix: str, names: NameFilter, left: Callable[[], float]
) -> ServerTools:
    """Ask for the tools. `left` gives the seconds that remain. Raises McpError."""
    listed = list(read_pages(peer, "tools/list", "tools", MAX_TOOLS, left)) if "tools" in capabilities else []
    given = {name: tool for tool in reversed(listed) if (name := _name(tool))}
    utilities = [kind for kind, (needs, _, _) in _UTILITIES.items() if needs in capabilities]
    called = tool_names(prefix, [*reversed(given), *utilities])
    tools: list[ServerTool] = []
    left_out: dict[str, str] = {}
    budget = MAX_SCHEMAS_BYTES
    for own, name in called.items():
        if not names.passes(own):
            left_out[name] = "toolFilter"
        elif own not in given:
            tools.append(_utility(own, name))
        elif (schema := _schema(given[own].get("inputSchema"))) is None:
            left_out[name] = "the server's schema of it is too large, or not one of an object"
        elif (budget := budget - len(orjson.dumps(schema))) < 0:
            left_out[name] = "the schemas of the server's tools are too large together"
        else:
            description = clean(given[own].get("description"), MAX_DESCRIPTION)
            spec = ToolSpec(name, description or own[:MAX_NAME], schema)
            tools.append(ServerTool(own, spec, only_reads=_only_reads(given[own].get("annotations"))))
    return ServerTools(tuple(tools), left_out)


def read_pages(
    peer: Peer,
    method: str,
    key: str,
    limit: int,
    left: Callable[[], float],
    cancel: Cancel | None = None,
) -> Iterator[dict[str, Any]]:
    """The rows of a list, at most `limit`. A server that repeats a cursor has no more pages."""
    cursor: Any = None
    seen: set[str] = set()
    count = 0
    for _ in range(MAX_PAGES):
        page = peer.request(method, {} if cursor is None else {"cursor": cursor}, left(), cancel)
        rows = page.get(key)
        for row in rows if isinstance(rows, list) else ():
            if count >= limit:
                return
            if isinstance(row, dict):
                count += 1
                yield row
        cursor = page.get("nextCursor")
        if not isinstance(cursor, str) or cursor in seen:
            return
        seen.add(cursor)


def countdown(seconds: float) -> Callable[[], float]:
    """A function that gives the seconds that are left of these. It raises McpError when there are none."""
    end = time.monotonic() + seconds

    def left() -> float:
        remaining = end - time.monotonic()
        if remaining <= 0:
            raise McpError(f"it was not ready within {seconds:g} s")
        return remaining

    return left


def _name(tool: dict[str, Any]) -> str:
    name = tool.get("name")
    return name if isinstance(name, str) and 0 < len(name) <= MAX_NAME else ""


def _schema(given: Any) -> dict[str, Any] | None:
    """The schema of a tool's arguments, without control characters; None if it cannot be offered."""
    if given is None:
        return {"type": "object", "properties": {}}
    if not isinstance(given, dict) or given.get("type", "object") != "object":
        return None
    try:
        if len(orjson.dumps(given)) > MAX_SCHEMA_BYTES:
            return None
    except TypeError:  # nested too deeply
        return None
    tidy = {key: _cleaned(value) for key, value in given.items() if key not in ("$schema", "required")}
    tidy["type"], tidy["properties"] = "object", _properties(tidy.get("properties"))
    required = given.get("required")
    names = [name for name in required if isinstance(name, str)] if isinstance(required, list) else []
    if known := [name for name in names if name in tidy["properties"]]:
        tidy["required"] = known
    return tidy


def _properties(given: Any) -> dict[str, Any]:
    """Those that are schemas. For anything else providers would refuse a request with all of its tools."""
    if not isinstance(given, dict):
        return {}
    return {name: schema for name, schema in given.items() if isinstance(schema, dict | bool)}


def _cleaned(value: Any) -> Any:
    """The value with the texts in its descriptions and titles bounded and without control characters."""
    if isinstance(value, list):
        return [_cleaned(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {
        key: clean(one, MAX_DESCRIPTION)
        if key in ("description", "title") and isinstance(one, str)
        else _cleaned(one)
        for key, one in value.items()
    }


def _utility(kind: Any, name: str) -> ServerTool:
    _, description, properties = _UTILITIES[kind]
    required = [key for key in properties if key not in _OPTIONAL]
    schema: dict[str, object] = {"type": "object", "properties": properties}
    if required:
        schema["required"] = required
    return ServerTool(kind, ToolSpec(name, description, schema), kind, only_reads=True)


def _only_reads(annotations: object) -> bool:
    return isinstance(annotations, dict) and annotations.get("readOnlyHint") is True
