"""A client of the Gateway protocol for tests: frames in, frames out, nothing hidden."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

import websocket

from tests.support.gateway import TOKEN, GatewayProcess

Frame = dict[str, Any]


class Operator:
    """One connection. `frames` has everything that came, in order."""

    def __init__(self, gateway: GatewayProcess, path: str = "/", **options: Any) -> None:
        url = f"ws://127.0.0.1:{gateway.port}{path}"
        options.setdefault("suppress_origin", "origin" not in options)
        self.socket = websocket.create_connection(url, timeout=20, **options)
        self.frames: list[Frame] = []

    def __enter__(self) -> Operator:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.shutdown()

    def send(self, frame: Any) -> None:
        self.socket.send(frame if isinstance(frame, str) else json.dumps(frame))

    def request(self, method: str, params: Frame | None = None) -> str:
        """Sends a request; its id."""
        frame_id = str(uuid.uuid4())
        frame: Frame = {"type": "req", "id": frame_id, "method": method}
        self.send(frame if params is None else {**frame, "params": params})
        return frame_id

    def receive(self, timeout: float = 20) -> Frame:
        """The next frame. Raises websocket.WebSocketConnectionClosedException at the end."""
        self.socket.settimeout(timeout)
        text = self.socket.recv()
        if not text:
            raise websocket.WebSocketConnectionClosedException
        frame: Frame = json.loads(text)
        self.frames.append(frame)
        return frame

    def response(self, frame_id: str, timeout: float = 20) -> Frame:
        """The next response to that request; what comes in between is kept in `frames`."""
        deadline = time.monotonic() + timeout
        while True:
            frame = self.receive(max(0.1, deadline - time.monotonic()))
            if frame["type"] == "res" and frame["id"] == frame_id:
                return frame

    def call(self, method: str, params: Frame | None = None) -> Any:
        """The payload of a response that must be ok."""
        frame = self.response(self.request(method, params))
        assert frame["ok"], frame
        return frame["payload"]

    def refusal(self, method: str, params: Frame | None = None) -> Frame:
        """The error of a response that must not be ok."""
        frame = self.response(self.request(method, params))
        assert not frame["ok"], frame
        error: Frame = frame["error"]
        return error

    def until(self, event: str, timeout: float = 20, **fields: Any) -> Frame:
        """The payload of the next such event whose fields have these values."""
        deadline = time.monotonic() + timeout
        while True:
            frame = self.receive(max(0.1, deadline - time.monotonic()))
            if frame.get("event") == event and fields.items() <= frame["payload"].items():
                payload: Frame = frame["payload"]
                return payload

    def events(self, name: str) -> list[Frame]:
        return [frame["payload"] for frame in self.frames if frame.get("event") == name]

    def close_code(self, timeout: float = 20) -> tuple[int, str]:
        """Reads to the end; the server's close code and reason."""
        self.socket.settimeout(timeout)
        while True:
            frame = self.socket.recv_frame()
            opcode, data = frame.opcode, frame.data
            if opcode == websocket.ABNF.OPCODE_TEXT:
                self.frames.append(json.loads(data))
            if opcode == websocket.ABNF.OPCODE_CLOSE:
                return int.from_bytes(data[:2], "big") if data else 1005, data[2:].decode()


def connect_params(**changes: Any) -> Frame:
    client = {"id": "cli", "version": "1.0", "platform": "test", "mode": "cli"}
    params: Frame = {"minProtocol": 3, "maxProtocol": 4, "client": client, "auth": {"token": TOKEN}}
    params.update(changes)
    return {name: value for name, value in params.items() if value is not None}


def operator(gateway: GatewayProcess, **changes: Any) -> Operator:
    """A client that has been let in."""
    client = Operator(gateway)
    assert client.receive()["event"] == "connect.challenge"
    hello = client.call("connect", connect_params(**changes))
    assert hello["type"] == "hello-ok"
    return client
