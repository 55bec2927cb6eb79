"""The tools of MCP servers for agents: which servers an agent has, and calls of their tools."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from functools import partial

from app.cancel import Cancel
from app.concurrency.background import spawn
from app.config.settings import Settings
from app.config.tool_settings import McpServerSettings
from app.logs.lines import log_event
from app.tools.base import Tool
from app.tools.catalogue import MCP_SEPARATOR
from app.tools.mcp.calls import run_tool
from app.tools.mcp.host_share import HostShare
from app.tools.mcp.http import HttpChannel
from app.tools.mcp.http_sse import SseChannel
from app.tools.mcp.listing import ServerTool
from app.tools.mcp.names import prefixes
from app.tools.mcp.peer import Channel
from app.tools.mcp.processes import ServerProcesses
from app.tools.mcp.protocol import ServerUnavailable
from app.tools.mcp.server import McpServer
from app.tools.mcp.server_log import ServerLog, server_secrets
from app.tools.mcp.shared import SharedServer
from app.tools.mcp.stdio import StdioChannel
from app.tools.policy import ToolRules
from app.tools.registry import Offer

logger = logging.getLogger("app.tools.mcp")

MAX_SERVERS = 256  # that are there at the same time, of all agents
MAX_CLOSE_SECONDS = 5.0


class McpSource:
    """A `ToolSource`. Each agent has processes and connections of its own, which its sessions share; with
    `is_shared`, its processes also by all workers of this host.
    """

    def __init__(self, settings: Callable[[], Settings], *, is_shared: bool = False) -> None:
        self._settings = settings
        self._is_shared = is_shared
        self._lock = threading.Lock()
        self._servers: dict[tuple[str, str], McpServer] = {}
        self._processes: ServerProcesses | None = None
        self._revision = 0
        self._closed = False

    @property
    def revision(self) -> int:
        return self._revision

    def tools(self, agent_id: str, rules: ToolRules, cancel: Cancel | None, *, wait: bool) -> Offer:
        configured = self._settings().mcp.servers
        if not configured:
            return Offer()
        tools: list[Tool] = []
        absent: dict[str, str] = {}
        wanted: list[McpServer] = []
        for name, prefix in prefixes(configured).items():
            every = f"{prefix}{MCP_SEPARATOR}*"
            if not configured[name].enabled:
                absent[every] = f"mcp.servers.{name}.enabled"
            elif why := rules.why_none(f"{prefix}{MCP_SEPARATOR}"):
                absent[every] = why
            elif (server := self.server(agent_id, name, prefix, configured[name])) is not None:
                wanted.append(server)
            else:
                absent[every] = f"there are {MAX_SERVERS} MCP servers already"
        is_complete = _begin(wanted, cancel, wait)
        for server in wanted:
            if server.tools is None:
                why = server.failure or "it is being started"
                absent[f"{server.prefix}{MCP_SEPARATOR}*"] = f"MCP server {server.name}: {why}"
                continue
            tools += [self._tool(server, one) for one in server.tools.tools]
            absent |= {
                name: f"mcp.servers.{server.name}.{why}" if why == "toolFilter" else why
                for name, why in server.tools.left_out.items()
            }
        return Offer(tools, absent, is_complete)

    def server(self, agent_id: str, name: str, prefix: str, settings: McpServerSettings) -> McpServer | None:
        """The agent's server of that name, which is not started by that; None if there are too many."""
        with self._lock:
            server = self._servers.get((agent_id, name))
            if server is not None and server.settings == settings and server.prefix == prefix:
                return server
            if self._closed or len(self._servers) >= MAX_SERVERS:
                return None
            new = self._servers[agent_id, name] = self._new_server(agent_id, name, prefix, settings)
        if server is not None:
            spawn(server.close)
        return new

    def _new_server(self, agent_id: str, name: str, prefix: str, settings: McpServerSettings) -> McpServer:
        secrets = server_secrets([*settings.env.values(), *settings.headers.values()])
        opened = partial(self._channel, name, settings, ServerLog(name, secrets))
        about = (name, prefix, settings)
        if not self._is_shared or settings.command is None:
            return McpServer(*about, opened, self._changed, secrets, agent_id)
        share = HostShare(self._settings().state_dir / "mcp-shared", agent_id, name, settings)
        return SharedServer(
            *about, self._changed, secrets, agent_id, share=share, own=partial(self._taken_over, opened)
        )

    def _taken_over(self, opened: Callable[[str | None], Channel]) -> Channel:
        """A channel to a process of our own, in place of that of a worker which may have been killed."""
        self._own_processes().end_leftovers()
        return opened(None)

    def update(self, settings: Settings) -> None:
        """End the servers that other settings no longer have, or have otherwise."""
        servers, agents = settings.mcp.servers, {agent.id for agent in settings.agents}
        with self._lock:
            gone = [
                key
                for key, server in self._servers.items()
                if key[0] not in agents
                or servers.get(key[1]) != server.settings
                or not server.settings.enabled
            ]
            closing = [self._servers.pop(key) for key in gone]
        for server in closing:
            log_event(logger, logging.INFO, "mcp server removed", server=server.name, agent=server.agent_id)
            spawn(server.close)
        if closing:
            self._changed()

    def end_leftovers(self, _stop: object = None) -> None:
        """End the servers that a killed gateway of the same state directory has left."""
        self._own_processes().end_leftovers()

    def close(self) -> None:
        """End all servers, beside each other."""
        with self._lock:
            self._closed = True
            servers = list(self._servers.values())
            self._servers.clear()
        left = [threading.Event() for _ in servers]
        for server, done in zip(servers, left, strict=True):
            spawn(_close, server, done)
        deadline = time.monotonic() + MAX_CLOSE_SECONDS
        for done in left:
            done.wait(max(0.0, deadline - time.monotonic()))
        if self._processes is not None:
            self._processes.close()

    def _changed(self) -> None:
        self._revision += 1

    def _own_processes(self) -> ServerProcesses:
        if self._processes is None:
            self._processes = ServerProcesses(self._settings().state_dir)
        return self._processes

    def _channel(
        self, name: str, settings: McpServerSettings, log: ServerLog, transport: str | None
    ) -> Channel:
        if settings.command is not None:
            return StdioChannel(name, settings, self._own_processes(), log)
        return SseChannel(settings) if transport == "sse" else HttpChannel(settings)

    def _tool(self, server: McpServer, tool: ServerTool) -> Tool:
        settings = server.settings
        return Tool(
            spec=tool.spec,
            summary=f"of the MCP server {server.prefix}",
            run=partial(run_tool, server, tool),
            is_parallel=settings.supports_parallel_tool_calls,
            only_reads=tool.only_reads,
            seconds=settings.connection_timeout_seconds + settings.request_timeout_seconds + 2,
        )


def _begin(servers: list[McpServer], cancel: Cancel | None, wait: bool) -> bool:
    """Start the servers that are not there. Waits for those that have never been tried.

    True unless one may still be there soon.
    """
    started = [
        server for server in servers if not server.begin() and server.tools is None and server.failure is None
    ]
    if not wait:
        return not started
    for server in started:
        try:
            server.ready(cancel)
        except ServerUnavailable:
            continue
    return True


def _close(server: McpServer, done: threading.Event) -> None:
    try:
        server.close()
    finally:
        done.set()
