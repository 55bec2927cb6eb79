"""Calls of the tools of MCP servers: the request, its progress, its answer as a tool's output."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import orjson
from msgspec.structs import replace

from app.cancel import Cancel
from app.logs.lines import log_event
from app.tools.base import Invocation, ToolError, ToolOutput
from app.tools.call import failed
from app.tools.mcp import results
from app.tools.mcp.listing import MAX_LISTED, ServerTool, countdown, read_pages
from app.tools.mcp.protocol import McpError, RequestFailed
from app.tools.mcp.server import McpServer

logger = logging.getLogger("app.tools.mcp")

MAX_UPDATES = 100  # about the progress of one call
MIN_UPDATE_SECONDS = 0.2  # between two of them
MAX_UPDATE_CHARS = 500
MAX_ERROR_CHARS = 8000  # of a result that is an error


def run_tool(server: McpServer, tool: ServerTool, call: Invocation, arguments: dict[str, Any]) -> ToolOutput:
    """The result of a call. Raises ToolError, and the error of the call's `cancel`."""
    try:
        output = call_server(server, tool, arguments, call.cancel, call.update)
    except McpError as error:
        how = "refuses the call" if isinstance(error, RequestFailed) else "does not work"
        if not isinstance(error, RequestFailed):
            log_event(
                logger, logging.WARNING, "mcp call failed", server=server.name, tool=tool.name, why=str(error)
            )
        raise ToolError(f"The MCP server {server.name} {how}: {error}.") from None
    if not output.is_error:
        return output
    return replace(failed(tool.spec.name, output.text[:MAX_ERROR_CHARS]), details=output.details)


def call_server(
    server: McpServer,
    tool: ServerTool,
    arguments: dict[str, Any],
    cancel: Cancel | None = None,
    update: Callable[[str], object] = lambda _text: None,
) -> ToolOutput:
    """The answer to a call. Raises McpError, ToolError for wrong arguments, and the error of `cancel`."""
    match tool.kind:
        case "call":
            params = {"name": tool.name, "arguments": arguments}
            answer = server.request("tools/call", params, cancel, _Updates(update).add)
            return results.tool_output(answer, server.name, tool.name)
        case "resources_read":
            uri = _text(arguments, "uri")
            return results.resource_output(
                server.request("resources/read", {"uri": uri}, cancel), server.name
            )
        case "prompts_get":
            params = {"name": _text(arguments, "name"), "arguments": _texts(arguments.get("arguments"))}
            return results.prompt_output(server.request("prompts/get", params, cancel), server.name)
        case "resources_list":
            return _listed(server, "resources", ("uri", "name", "title", "description", "mimeType"), cancel)
        case "prompts_list":
            return _listed(server, "prompts", ("name", "title", "description"), cancel)


def _listed(server: McpServer, what: str, keys: tuple[str, ...], cancel: Cancel | None) -> ToolOutput:
    peer = server.ready(cancel)
    left = countdown(server.settings.request_timeout_seconds)
    rows = list(read_pages(peer, f"{what}/list", what, MAX_LISTED, left, cancel))
    text = orjson.dumps({what: results.listing(rows, keys)}).decode()
    return ToolOutput(text, {"server": server.name})


def _text(arguments: Mapping[str, Any], key: str) -> str:
    value = arguments.get(key)
    if not isinstance(value, str) or not value:
        raise ToolError(f"`{key}` is missing: it must be text.")
    return value


def _texts(value: Any) -> dict[str, str]:
    """The arguments of a prompt, which are texts."""
    if not isinstance(value, dict):
        return {}
    return {
        str(key): one if isinstance(one, str) else orjson.dumps(one).decode() for key, one in value.items()
    }


class _Updates:
    """What a server says of the progress of a call, at most so much of it."""

    def __init__(self, update: Callable[[str], object]) -> None:
        self._update = update
        self._left = MAX_UPDATES
        self._next_at = 0.0

    def add(self, params: Mapping[str, Any]) -> None:
        now = time.monotonic()
        if self._left <= 0 or now < self._next_at:
            return
        self._left -= 1
        self._next_at = now + MIN_UPDATE_SECONDS
        done, total = params.get("progress"), params.get("total")
        counted = f"{done:g}" if _is_number(done) else ""
        counted = f"{counted} of {total:g}" if counted and _is_number(total) else counted
        message = results.clean(params.get("message"), MAX_UPDATE_CHARS)
        if text := ": ".join(filter(None, (counted, message))):
            self._update(text)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
