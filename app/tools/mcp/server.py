"""The life of one MCP server for one agent: started at first need, called, started again when it has ended.

It is started by a greenlet of its own, so that nobody who waits for it waits longer than he wants. A server
that fails is left alone for a while, each time longer, and paused when it keeps failing.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from app.cancel import Cancel
from app.concurrency.background import call_later, spawn
from app.config.tool_settings import McpServerSettings
from app.logs.lines import log_event
from app.providers.http.secrets import Secrets
from app.tools.mcp import protocol
from app.tools.mcp.back_off import BackOff
from app.tools.mcp.endpoint import BadStatus
from app.tools.mcp.http import SessionEnded
from app.tools.mcp.listing import ServerTools, countdown, read_tools
from app.tools.mcp.names import NameFilter
from app.tools.mcp.peer import Channel, Peer, Progress, RequestTimedOut
from app.tools.mcp.protocol import McpError, ServerUnavailable
from app.tools.mcp.refresh import Seldom
from app.tools.mcp.start import Start

logger = logging.getLogger("app.tools.mcp")

MAX_TIMEOUTS = 3  # requests in a row without an answer, after which it is started again
REFRESH_SECONDS = 1.0  # between two looks at its tools, however often it says that they have changed
OLDER = (400, 404, 405)  # what servers with the older transport answer to a POST

OpenChannel = Callable[[str | None], Channel]


class McpServer:
    """`open_channel` makes a channel of the given transport, None for the configured one. `on_change` is
    called when its tools have changed, or it may be tried again.
    """

    def __init__(
        self,
        name: str,
        prefix: str,
        settings: McpServerSettings,
        open_channel: OpenChannel,
        on_change: Callable[[], object],
        secrets: Secrets,
        agent_id: str = "",
    ) -> None:
        self.name, self.prefix, self.settings, self.agent_id = name, prefix, settings, agent_id
        self.tools: ServerTools | None = None  # as they were when it was last asked
        self._open_channel, self._on_change, self._secrets = open_channel, on_change, secrets
        self._filter = NameFilter(settings.tool_filter)
        self._lock = threading.RLock()  # for all below; nothing waits while it is held
        self._peer: Peer | None = None
        self._starting: Start | None = None
        self._ready_at = 0.0
        self._back_off = BackOff()
        self._timeouts = 0
        self._has_answered = False  # to a call, since its last start
        self._refresh = Seldom(REFRESH_SECONDS, self._read_again)
        self._closed = False

    @property
    def failure(self) -> str | None:
        """Why it is not there, for operators; None if it is, or has not been asked for yet."""
        why, said = self._back_off.why, self._back_off.said
        return f"{why}. It said last: {said}" if said else why or None

    def ready(self, cancel: Cancel | None = None, *, wait: bool = True) -> Peer:
        """The connection to it; started first if it has to be. Raises ServerUnavailable, at once if it has
        failed shortly before or nobody wants to `wait`, and the error of `cancel`.
        """
        with self._lock:
            if self._closed:
                raise ServerUnavailable("it is no longer configured")
            if self._peer is not None:
                return self._peer
            if (start := self._starting) is None:
                if (left := self._back_off.left) > 0:
                    raise ServerUnavailable(f"{self._back_off.why}. It is tried again in {left:.0f} s")
                start = self._starting = Start()
                spawn(self._start, start)
        if not wait:
            raise ServerUnavailable("it is being started")
        return start.wait(self.settings.connection_timeout_seconds + 1, cancel)

    def begin(self) -> bool:
        """Start it without waiting, unless it has failed shortly before. Whether it is there already."""
        try:
            self.ready(wait=False)
        except ServerUnavailable:
            return False
        return True

    def request(
        self,
        method: str,
        params: dict[str, Any],
        cancel: Cancel | None = None,
        progress: Progress | None = None,
    ) -> dict[str, Any]:
        """The result of a request. Raises McpError, and the error of `cancel`."""
        try:
            return self._request(method, params, cancel, progress)
        except SessionEnded:  # the request was not looked at
            return self._request(method, params, cancel, progress)
        except McpError as error:
            error.args = (self._secrets.remove_from(str(error)),)
            raise

    def _request(
        self, method: str, params: dict[str, Any], cancel: Cancel | None, progress: Progress | None
    ) -> dict[str, Any]:
        peer = self.ready(cancel)
        try:
            result = peer.request(method, params, self.settings.request_timeout_seconds, cancel, progress)
        except RequestTimedOut:
            self._timeouts += 1
            if self._timeouts >= MAX_TIMEOUTS:
                peer.lost(ServerUnavailable("it does not answer any more"))
            raise
        self._timeouts, self._has_answered = 0, True
        return result

    def close(self) -> None:
        """End it for ever. Requests under way fail."""
        with self._lock:
            self._closed = True
            peer, self._peer = self._peer, None
            start = self._starting
        if start is not None:
            start.abandon()
        if peer is not None:
            peer.close()

    def _start(self, start: Start) -> None:
        began = time.monotonic()
        try:
            peer, tools, revision = self._connect(start, self.settings.transport)
        except RequestTimedOut:
            why = f"it was not ready within {self.settings.connection_timeout_seconds:g} s"
            self._failed(start, ServerUnavailable(why))
        except McpError as error:
            self._failed(start, error)
        except Exception:
            logger.exception("mcp server %s: its start failed on a fault of the gateway", self.name)
            self._failed(start, McpError("its start failed on a fault of the gateway"))
        else:
            self._started(start, peer, tools)
            seconds = round(time.monotonic() - began, 3)
            about = {"tools": len(tools.tools), "seconds": seconds, "revision": revision}
            self._log(logging.INFO, "mcp server started", **about)

    def _started(self, start: Start, peer: Peer, tools: ServerTools) -> None:
        with self._lock:
            is_closed, self._starting = self._closed, None
            changed = self.tools not in (None, tools) or bool(self._back_off.why)
            if not is_closed:
                self.tools, self._peer, self._ready_at = tools, peer, time.monotonic()
                self._timeouts, self._has_answered = 0, False
                self._back_off.started()
        if is_closed:
            peer.close()
            start.failed(ServerUnavailable("it is no longer configured"))
            return
        if peer.is_lost:  # in between
            self._lost(peer, ServerUnavailable("it ended right after its start"))
        start.succeeded(peer)
        if changed:
            self._on_change()

    def _connect(self, start: Start, transport: str | None) -> tuple[Peer, ServerTools, str]:
        """The connection, once the server has said what it offers. Raises McpError."""
        left = countdown(self.settings.connection_timeout_seconds)
        channel = self._open_channel(transport)
        peer = Peer(
            channel, lambda method: self._notified(peer, method), lambda error: self._lost(peer, error)
        )
        start.peer = peer
        try:
            channel.open(peer, left())
            hello = peer.request("initialize", protocol.initialize_params(), left())
            revision = protocol.revision_of(hello)
            channel.agreed(revision)
            channel.send_first(protocol.notification("notifications/initialized"), left())
            peer.capabilities = protocol.capabilities_of(hello)
            tools = read_tools(peer, peer.capabilities, self.prefix, self._filter, left)
        except BadStatus as error:
            spawn(peer.close)
            if error.status in OLDER and transport is None:
                return self._connect(start, "sse")
            raise
        except BaseException:
            spawn(peer.close)  # a process may take a while to end, and nobody has to wait for that
            raise
        return peer, tools, revision

    def _failed(self, start: Start, error: McpError) -> None:
        why, said = self._secrets.remove_from(str(error)), getattr(error, "said", "")
        with self._lock:
            self._starting = None
            self._back_off.failed(why, said)
            is_closed, pause = self._closed, self._back_off.left
            if self._back_off.is_paused and self.tools is not None:
                self.tools = None  # from now on they are not offered
                call_later(0, self._on_change)
        if not is_closed:
            what = "mcp server not available"
            self._log(logging.WARNING, what, why=why, said=said or None, next_try_seconds=round(pause))
            if self.tools is None:
                call_later(max(0.0, pause) + 0.05, self._on_change)
        start.failed(ServerUnavailable(why))

    def _lost(self, peer: Peer, error: McpError) -> None:
        """The connection has ended by itself. The server is started again when it is needed."""
        with self._lock:
            if self._peer is not peer:
                return  # while it was being started: that fails, and says so
            self._peer = None
            why, said = self._secrets.remove_from(str(error)), getattr(error, "said", "")
            if not isinstance(error, SessionEnded):
                worked = time.monotonic() - self._ready_at
                self._back_off.ended(why, said, worked, self._has_answered)
        self._log(logging.WARNING, "mcp server ended", why=why)
        spawn(peer.close)

    def _notified(self, peer: Peer, method: str) -> None:
        if method == "notifications/tools/list_changed" and self._peer is peer:
            self._refresh.ask(peer)

    def _read_again(self, peer: Peer) -> None:
        left = countdown(self.settings.request_timeout_seconds)
        try:
            tools = read_tools(peer, peer.capabilities, self.prefix, self._filter, left)
        except McpError as error:
            self._log(logging.WARNING, "mcp tools not read", why=self._secrets.remove_from(str(error)))
            return
        if tools != self.tools and self._peer is peer:
            self.tools = tools
            self._log(logging.INFO, "mcp tools changed", tools=len(tools.tools))
            self._on_change()

    def _log(self, level: int, message: str, **fields: Any) -> None:
        log_event(logger, level, message, server=self.name, agent=self.agent_id or None, **fields)
