"""Servers of tests, without a gateway around them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from app.config.settings import Settings
from app.config.tool_settings import McpServerSettings, McpSettings
from app.tools.base import ToolOutput
from app.tools.mcp.calls import call_server
from app.tools.mcp.server import McpServer
from app.tools.mcp.source import McpSource


@contextmanager
def server_with(state_dir: Path, *, is_shared: bool = False, **settings: Any) -> Iterator[McpServer]:
    """A server that is not started yet, and is ended after the block."""
    entry = McpServerSettings(**settings)
    source = McpSource(lambda: Settings(state_dir, mcp=McpSettings({"docs": entry})), is_shared=is_shared)
    server = source.server("main", "docs", "docs", entry)
    assert server is not None
    try:
        yield server
    finally:
        source.close()


def call(server: McpServer, name: str, /, **arguments: Any) -> ToolOutput:
    """The answer of a tool of the server, by its own name of it. Raises McpError."""
    server.ready()
    assert server.tools is not None
    tool = next(one for one in server.tools.tools if one.name == name)
    return call_server(server, tool, arguments)
