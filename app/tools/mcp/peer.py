"""The other side of a connection: pairs answers with requests, passes on what the server says by itself.

Above it: `server`. Below: a channel, which carries bytes. A server may lie, flood or fall silent: each
request has its time limit, and what answers nothing is bounded.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from itertools import count
from typing import Any, Protocol

from app.cancel import Cancel
from app.tools.mcp import protocol
from app.tools.mcp.protocol import McpError, Message, RequestFailed, ServerUnavailable

# What a server may send without being asked: a burst, and so much in each second.
MAX_UNASKED_BYTES = 8 * 1024 * 1024
UNASKED_PER_SECOND = 1024 * 1024
MIN_COST = 1024  # of a message, however short
GRACE_SECONDS = 2.0  # for which a channel goes on after a request's time is over: the peer ends it

Progress = Callable[[Mapping[str, Any]], object]


class Channel(Protocol):
    """Carries messages to one server and back. `open` may be called once."""

    def open(self, peer: Peer, seconds: float) -> None:
        """Connect, within `seconds`. What arrives goes to `peer.receive`, the end to `peer.lost`.

        Raises McpError.
        """

    def send(self, message: bytes, request_id: int | None = None, seconds: float = 60.0) -> None:
        """Send a message without waiting; read its answer within `seconds`. Failures go to `peer.fail`."""

    def send_first(self, message: bytes, seconds: float) -> None:
        """Send a notification that has to arrive before all that follows. Raises McpError."""

    def forget(self, request_id: int) -> None:
        """Nobody waits for the answer any more."""

    def agreed(self, revision: str) -> None:
        """The revision that the server has chosen."""

    def close(self) -> None:
        """End the connection, and the process at its other end."""


class _Pending:
    def __init__(self, progress: Progress | None) -> None:
        self.done = threading.Event()
        self.result: dict[str, Any] | None = None
        self.error: McpError | None = None
        self.progress = progress


class Peer:
    """`on_notification` gets the method of each; `on_lost` is called once, when the connection has ended."""

    def __init__(
        self,
        channel: Channel,
        on_notification: Callable[[str], object],
        on_lost: Callable[[McpError], object],
    ) -> None:
        self._channel = channel
        self._on_notification = on_notification
        self._on_lost = on_lost
        self._pending: dict[int, _Pending] = {}
        self._ids = count(1)
        self._unasked = 0.0
        self._unasked_at = time.monotonic()
        self._lost: McpError | None = None
        self.capabilities: Mapping[str, Any] = {}  # what the server has said that it can do

    @property
    def is_lost(self) -> bool:
        return self._lost is not None

    def request(
        self,
        method: str,
        params: Mapping[str, Any],
        seconds: float,
        cancel: Cancel | None = None,
        progress: Progress | None = None,
    ) -> dict[str, Any]:
        """The result. Raises RequestFailed (the server refuses), McpError, and the error of `cancel`."""
        request_id = next(self._ids)
        pending = self._pending[request_id] = _Pending(progress)
        if progress is not None:
            params = {**params, "_meta": {"progressToken": request_id}}
        answered = False
        try:
            with nullcontext() if cancel is None else cancel.waking(pending.done.set):
                if self._lost is not None:
                    raise self._lost
                message = protocol.request(request_id, method, params)
                self._channel.send(message, request_id, seconds + GRACE_SECONDS)
                if not pending.done.wait(seconds):
                    raise RequestTimedOut(f"it did not answer within {seconds:g} s")
            answered = True
        finally:
            del self._pending[request_id]
            self._channel.forget(request_id)
            if not answered and method != "initialize" and self._lost is None:
                self.notify("notifications/cancelled", {"requestId": request_id})
        if pending.error is not None:
            raise pending.error
        assert pending.result is not None
        return pending.result

    def notify(self, method: str, params: Mapping[str, Any] | None = None) -> None:
        """Send a notification without waiting for it to arrive."""
        self._channel.send(protocol.notification(method, params))

    def waits_for(self, request_id: int) -> bool:
        pending = self._pending.get(request_id)
        return pending is not None and not pending.done.is_set()

    def receive(self, data: bytes) -> None:
        """Take a message or a batch of them. Raises McpError if the connection has to end, ValueError if it
        is not JSON.
        """
        for message in protocol.parse(data):
            if "method" not in message and self._answered(message):
                continue
            self._count(len(data))
            self._unasked_message(message)

    def fail(self, request_id: int | None, error: McpError) -> None:
        """A request could not be sent, or its answer not be read."""
        pending = self._pending.get(request_id) if request_id is not None else None
        if pending is not None and not pending.done.is_set():
            pending.error = error
            pending.done.set()

    def lost(self, error: McpError) -> None:
        """The connection has ended: so have all requests."""
        if self._lost is not None:
            return
        self._lost = error
        for request_id in list(self._pending):
            self.fail(request_id, error)
        self._on_lost(error)

    def close(self) -> None:
        """End the connection because we want it to."""
        self._on_lost = lambda _error: None
        self.lost(ServerUnavailable("the connection was closed"))
        self._channel.close()

    def _answered(self, message: Message) -> bool:
        request_id = message.get("id")
        if isinstance(request_id, str) and request_id.isascii() and request_id.isdigit():
            request_id = int(request_id[:18])
        pending = self._pending.get(request_id) if isinstance(request_id, int) else None
        if pending is None or pending.done.is_set():
            return False
        if isinstance(message.get("result"), dict):
            pending.result = message["result"]
        elif "error" in message:
            pending.error = RequestFailed(protocol.error_text(message["error"]))
        else:
            pending.error = McpError("its answer has no result")
        pending.done.set()
        return True

    def _unasked_message(self, message: Message) -> None:
        method, params = message.get("method"), message.get("params")
        if protocol.is_request(message):
            self._channel.send(protocol.answer_to(message))
        elif method == "notifications/progress" and isinstance(params, dict):
            token = params.get("progressToken")
            pending = self._pending.get(token) if isinstance(token, int) else None
            if pending is not None and pending.progress is not None:
                pending.progress(params)
        elif isinstance(method, str):
            self._on_notification(method)

    def _count(self, size: int) -> None:
        """Count a message that answers nothing. Raises McpError if there are too many of them."""
        now = time.monotonic()
        self._unasked = max(0.0, self._unasked - (now - self._unasked_at) * UNASKED_PER_SECOND)
        self._unasked += max(size, MIN_COST)
        self._unasked_at = now
        if self._unasked > MAX_UNASKED_BYTES:
            raise McpError("it floods the gateway with messages that nobody asked for")


class RequestTimedOut(McpError):
    """No answer came in time."""
