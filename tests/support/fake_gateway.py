"""The gateway's side of one connection, played by a test, for clients that must survive any gateway."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Event, Request, TextMessage

HELLO = {"type": "hello-ok", "protocol": 4, "policy": {"tickIntervalMs": 30000}}


class Side:
    """The gateway's side of one connection, from the client's upgrade request on."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.ws = WSConnection(ConnectionType.SERVER)
        self.events: list[Event] = []
        assert isinstance(self.next(), Request)

    def upgrade(self, *payloads: Any) -> None:
        """Accepts; `payloads` are sent in the same write as the answer."""
        data = self.ws.send(AcceptConnection())
        self.sock.sendall(data + b"".join(self.ws.send(TextMessage(json.dumps(one))) for one in payloads))

    def next(self) -> Event:
        while not self.events:
            self.ws.receive_data(self.sock.recv(65536) or None)
            self.events = list(self.ws.events())
        return self.events.pop(0)

    def request(self) -> Any:
        text = ""
        while True:
            event = self.next()
            assert isinstance(event, TextMessage), event
            text += event.data
            if event.message_finished:
                return json.loads(text)

    def send(self, frame: Any) -> None:
        self.sock.sendall(self.ws.send(TextMessage(frame if isinstance(frame, str) else json.dumps(frame))))

    def respond(self, payload: Any) -> Any:
        """Answers the next request, which it returns."""
        request = self.request()
        self.send({"type": "res", "id": request["id"], "ok": True, "payload": payload})
        return request

    def refuse(self, message: str, code: str = "INVALID_REQUEST", **more: Any) -> None:
        frame = {"type": "res", "id": self.request()["id"], "ok": False}
        self.send({**frame, "error": {"code": code, "message": message, **more}})

    def welcome(self) -> Any:
        """Upgrades and accepts `connect`, which it returns."""
        self.upgrade()
        return self.respond(HELLO)

    def close(self, code: int, reason: str) -> None:
        self.sock.sendall(self.ws.send(CloseConnection(code, reason)))


Play = Callable[[Side], object]


class FakeGateway:
    """Listens on a free port while its `with` block lasts; `play` serves one connection in a thread."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self.url = f"ws://127.0.0.1:{self._listener.getsockname()[1]}/"

    def __enter__(self) -> FakeGateway:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()
        for thread in self._threads:
            thread.join(10)

    def play(self, script: Play) -> str:
        """Its address; `script` is called with the next connection."""
        self._threads.append(threading.Thread(target=self._serve, args=(script,), daemon=True))
        self._threads[-1].start()
        return self.url

    def _serve(self, script: Play) -> None:
        sock, _ = self._listener.accept()
        with sock:
            script(Side(sock))
            sock.settimeout(5)
            try:
                while sock.recv(65536):
                    pass
            except OSError:
                pass
