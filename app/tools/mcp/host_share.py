"""One process of a server for all workers of a host.

Who has the process shows in the lock on a file, which the kernel frees however that worker ends:

    <state directory>/mcp-shared/3f9a….lock     held by the worker that has the server
    <state directory>/mcp-shared/3f9a….sock     where it answers the others, in the protocol's own messages

Each other worker is a client like any: it says hello, asks for the tools and calls them. Its requests become
requests of the worker that has the server, which starts it again when it has ended. When that worker itself
ends, the next one that needs the server takes it.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson

from app import VERSION
from app.cancel import Cancel
from app.concurrency.background import spawn
from app.config.tool_settings import McpServerSettings
from app.errors import GatewayError, RunAborted
from app.tools.mcp import protocol
from app.tools.mcp.lines import read_lines
from app.tools.mcp.protocol import MAX_MESSAGE_BYTES, McpError, Message
from app.tools.mcp.server import McpServer

MAX_WAITING = 64  # workers that want to connect at the same moment
MAX_REQUESTS = 256  # of one worker at a time
WRITE_SECONDS = 10.0  # for which a worker may read nothing


class HostShare:
    """The place of one server of one agent. Building it opens nothing."""

    def __init__(self, folder: Path, agent_id: str, name: str, settings: McpServerSettings) -> None:
        self._folder = folder
        # Workers that have taken up a change and those that have not yet have servers of their own.
        about = orjson.dumps([agent_id, name, asdict(settings)], default=str, option=orjson.OPT_SORT_KEYS)
        self._name = hashlib.sha256(about).hexdigest()[:16]
        self._guard = threading.Lock()  # for all below
        self._handle: int | None = None
        self._listener: socket.socket | None = None
        self._relays: set[Relay] = set()
        self._closed = False

    def take(self, server: McpServer) -> bool:
        """Whether this worker has the server, from now on if nobody else has. Raises OSError."""
        with self._guard:
            if self._closed:
                raise InterruptedError(errno.EINTR, "the gateway is stopping")
            if self._handle is not None:
                return True
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(self._folder / f"{self._name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._listener = self._listen()
            except BlockingIOError:
                os.close(handle)
                return False
            except BaseException:
                os.close(handle)
                raise
            self._handle = handle
            spawn(self._accept, self._listener, server)
            return True

    def connect(self, seconds: float) -> socket.socket:
        """A connection to the worker that has it. Raises OSError: nobody answers there."""
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.settimeout(seconds)
            with self._address() as address:
                sock.connect(address)
        except BaseException:
            sock.close()
            raise
        return sock

    def broadcast(self, method: str) -> None:
        """Pass on what the server says by itself."""
        for relay in list(self._relays):
            relay.send({"method": method})

    def close(self) -> None:
        """Leave the server to others, whose calls under way fail."""
        with self._guard:
            self._closed = True
            handle, self._handle = self._handle, None
            listener, self._listener = self._listener, None
        if listener is not None:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # wakes who waits in `accept`
            listener.close()
        for relay in list(self._relays):
            relay.hang_up()
        if handle is not None:
            (self._folder / f"{self._name}.sock").unlink(missing_ok=True)
            os.close(handle)

    def _listen(self) -> socket.socket:
        (self._folder / f"{self._name}.sock").unlink(missing_ok=True)  # of a worker that was killed
        listener = socket.socket(socket.AF_UNIX)
        try:
            with self._address() as address:
                listener.bind(address)
            listener.listen(MAX_WAITING)
        except BaseException:
            listener.close()
            raise
        return listener

    def _accept(self, listener: socket.socket, server: McpServer) -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return  # closed
            relay = Relay(sock, server)
            self._relays.add(relay)
            spawn(self._serve, relay)

    def _serve(self, relay: Relay) -> None:
        try:
            relay.run()
        finally:
            self._relays.discard(relay)

    @contextmanager
    def _address(self) -> Iterator[str]:
        """The socket's path by a descriptor of its folder: a path may only have some hundred bytes."""
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            short = f"/proc/self/fd/{folder}"
            place = short if os.path.isdir(short) else str(self._folder)
            yield f"{place}/{self._name}.sock"
        finally:
            os.close(folder)


class Relay:
    """The connection of another worker, whose requests are passed on."""

    def __init__(self, sock: socket.socket, server: McpServer) -> None:
        self._sock, self._server = sock, server
        self._cancels: dict[Any, Cancel] = {}
        self._writing = threading.Lock()
        sock.settimeout(WRITE_SECONDS)  # once: to change it would disturb who reads meanwhile

    def run(self) -> None:
        """Answer until it ends. For a greenlet of its own."""
        try:
            for line in read_lines(_Patient(self._sock), MAX_MESSAGE_BYTES):
                for message in protocol.parse(line):
                    self._take(message)
        except (McpError, ValueError):
            pass  # it is no worker of this version
        finally:
            for cancel in list(self._cancels.values()):
                cancel.cancel(RunAborted("The worker that asked has ended."))
            self._sock.close()

    def send(self, message: Mapping[str, Any]) -> None:
        """Send a message; a worker that does not read is left."""
        data = orjson.dumps({"jsonrpc": "2.0", **message}) + b"\n"
        with self._writing:
            try:
                self._sock.sendall(data)
            except OSError:
                self.hang_up()

    def hang_up(self) -> None:
        """End the connection; whoever reads from it sees its end."""
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def _take(self, message: Message) -> None:
        if message.get("method") == "notifications/cancelled":
            cancel = self._cancels.get(_params(message).get("requestId"))
            if cancel is not None:
                cancel.cancel(RunAborted("The call was cancelled."))
        elif protocol.is_request(message) and len(self._cancels) < MAX_REQUESTS:
            cancel = self._cancels[message["id"]] = Cancel()
            spawn(self._answer, message, cancel)

    def _answer(self, message: Message, cancel: Cancel) -> None:
        request_id = message["id"]
        try:
            self.send({"id": request_id, "result": self._result(message["method"], _params(message), cancel)})
        except McpError as error:
            self.send({"id": request_id, "error": {"message": str(error)}})
        except GatewayError:
            pass  # it was cancelled: nobody waits for the answer
        finally:
            self._cancels.pop(request_id, None)

    def _result(self, method: str, params: dict[str, Any], cancel: Cancel) -> dict[str, Any]:
        if method == "initialize":
            peer = self._server.ready(cancel)
            about = {"name": "openclaw-gateway", "version": VERSION}
            return {
                "protocolVersion": protocol.REVISIONS[0],
                "capabilities": dict(peer.capabilities),
                "serverInfo": about,
            }
        meta = params.pop("_meta", None)
        token = meta.get("progressToken") if isinstance(meta, dict) else None
        if token is None:
            return self._server.request(method, params, cancel)

        def progress(given: Mapping[str, Any]) -> None:
            self.send({"method": "notifications/progress", "params": {**given, "progressToken": token}})

        return self._server.request(method, params, cancel, progress)


class _Patient:
    """Reads from a socket whose time limit is for writing alone."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def read(self, size: int) -> bytes:
        while True:
            with suppress(TimeoutError):
                return self._sock.recv(size)


def _params(message: Message) -> dict[str, Any]:
    params = message.get("params")
    return params if isinstance(params, dict) else {}
