"""A client of the Gateway protocol for tests: `app.client`, with every frame kept and nothing hidden."""

from __future__ import annotations

import json
import time
from typing import Any

from app.client.client import GatewayClient
from app.client.errors import ConnectionLost
from app.client.frames import Frame, is_response
from tests.support.gateway import TOKEN, GatewayProcess

TIMEOUT = 20.0


class Operator:
    """One connection. `frames` has everything that was received, in order."""

    def __init__(self, gateway: GatewayProcess, path: str = "/", **options: Any) -> None:
        """`options` are those of GatewayClient. Raises CannotConnect."""
        self.client = GatewayClient(f"ws://127.0.0.1:{gateway.port}{path}", TIMEOUT, **options)
        self.socket = self.client.socket
        self.frames: list[Frame] = []
        self.hello: Frame = {}  # the payload of `connect`, where the test keeps it

    def __enter__(self) -> Operator:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.drop()

    def send(self, frame: Any) -> None:
        """Sends text as it is, anything else as JSON. Raises ConnectionLost."""
        self.client.send(frame if isinstance(frame, str) else json.dumps(frame))

    def request(self, method: str, params: Frame | None = None) -> str:
        """Sends a request; its id."""
        return self.client.request(method, params)

    def receive(self, timeout: float = TIMEOUT) -> Frame:
        """The next frame. Raises TimeoutError, and ConnectionLost at the end."""
        frame = self.client.receive(time.monotonic() + timeout)
        if frame is None:
            raise TimeoutError(f"no frame within {timeout:g} s")
        self.frames.append(frame)
        return frame

    def response(self, request_id: str, timeout: float = TIMEOUT) -> Frame:
        """The next response to that request; what arrives before it is kept in `frames`."""
        deadline = time.monotonic() + timeout
        while True:
            frame = self.receive(max(0.1, deadline - time.monotonic()))
            if is_response(frame, request_id):
                return frame

    def answer(self, request_id: str) -> Frame:
        """The response to that request, whether or not it has come before."""
        for frame in self.frames:
            if is_response(frame, request_id):
                return frame
        return self.response(request_id)

    def call(self, method: str, params: Frame | None = None) -> Any:
        """The payload of the next response, which must be ok."""
        frame = self.response(self.request(method, params))
        assert frame["ok"], frame
        return frame["payload"]

    def refusal(self, method: str, params: Frame | None = None) -> Frame:
        """The error of the next response, which must not be ok."""
        frame = self.response(self.request(method, params))
        assert not frame["ok"], frame
        error: Frame = frame["error"]
        return error

    def until(self, event: str, timeout: float = TIMEOUT, **fields: Any) -> Frame:
        """The payload of the next such event whose fields have these values."""
        deadline = time.monotonic() + timeout
        while True:
            frame = self.receive(max(0.1, deadline - time.monotonic()))
            if frame.get("event") == event and fields.items() <= frame["payload"].items():
                payload: Frame = frame["payload"]
                return payload

    def events(self, name: str) -> list[Frame]:
        """The payloads of the events of that name so far."""
        return [frame["payload"] for frame in self.frames if frame.get("event") == name]

    def close_code(self, timeout: float = TIMEOUT) -> tuple[int, str]:
        """Receives to the end; the gateway's close code and reason. Raises TimeoutError."""
        deadline = time.monotonic() + timeout
        try:
            while True:
                self.receive(max(0.1, deadline - time.monotonic()))
        except ConnectionLost as lost:
            return lost.close_code, lost.reason


def connect_params(**changes: Any) -> Frame:
    """Parameters of `connect` with the gateway's token; None takes one out."""
    client = {"id": "cli", "version": "1.0", "platform": "test", "mode": "cli"}
    params: Frame = {"minProtocol": 3, "maxProtocol": 4, "client": client, "auth": {"token": TOKEN}}
    params.update(changes)
    return {name: value for name, value in params.items() if value is not None}


def operator(gateway: GatewayProcess, **changes: Any) -> Operator:
    """An authenticated client; `changes` are those of its `connect_params`."""
    client = Operator(gateway)
    assert client.receive()["event"] == "connect.challenge"
    hello = client.call("connect", connect_params(**changes))
    assert hello["type"] == "hello-ok"
    return client
