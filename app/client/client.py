"""A client of the Gateway protocol (docs/websocket.md): requests out, responses and events in.

It knows nothing of commands, terminals or exit codes. Every failure is a `ClientError`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from app.client.errors import (
    CannotConnect,
    ClientError,
    ConnectionLost,
    NoAnswer,
    NotAuthenticated,
    ProtocolMismatch,
    RequestRefused,
)
from app.client.frames import Frame, is_accepted, is_response, load_frame, payload_of, request_frame
from app.client.websocket import Closed, WebSocket
from app.ids import new_uuid

TICK_SECONDS = 30.0  # how often a gateway sends at least something, until it says otherwise
CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 30.0


class GatewayClient:
    """One connection, opened but not authenticated until `connect`. `hello` is that method's answer.

    Times are seconds, deadlines are those of `time.monotonic`. Not for use by several threads.
    """

    def __init__(
        self,
        url: str,
        timeout: float = CONNECT_SECONDS,
        *,
        host: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Raises CannotConnect, and UpgradeRefused if the answer is an HTTP status."""
        self.url = url
        self.hello: Frame = {}
        self._max_silence = 2 * TICK_SECONDS
        try:
            self.socket = WebSocket(url, timeout, host=host, headers=headers)
        except OSError as error:
            why = error.strerror or str(error) or type(error).__name__
            raise CannotConnect(f"No gateway answers at {url} ({why}).") from error

    def __enter__(self) -> GatewayClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self, timeout: float = 0.0) -> None:
        """Says goodbye; waits up to `timeout` seconds for the gateway to do so, too."""
        self.socket.close(timeout)

    def connect(self, params: Mapping[str, Any], timeout: float = CONNECT_SECONDS) -> Frame:
        """Authenticates with `connect_params`; the gateway's `hello-ok`.

        Raises NotAuthenticated, ProtocolMismatch, RequestRefused, NoAnswer and ConnectionLost.
        """
        try:
            self.hello = self.call("connect", params, timeout)
        except RequestRefused as error:
            raise self._connect_error(error, params) from error
        policy = self.hello.get("policy") or {}
        self._max_silence = 2 * policy.get("tickIntervalMs", TICK_SECONDS * 1000) / 1000
        return self.hello

    def call(
        self, method: str, params: Mapping[str, Any] | None = None, timeout: float | None = ANSWER_SECONDS
    ) -> Any:
        """The payload of the last response; a run is waited for to its end. `timeout` None: without limit.

        Raises RequestRefused, NoAnswer and ConnectionLost.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        request_id = self.request(method, {} if params is None else params)
        while is_accepted(frame := self.response(request_id, deadline)):
            pass
        if not frame:
            raise NoAnswer(f"{self.url} did not answer {method} within {timeout:g} s.")
        return payload_of(frame)

    def request(
        self, method: str, params: Mapping[str, Any] | None = None, request_id: str | None = None
    ) -> str:
        """Sends a request; its id. Raises ConnectionLost."""
        request_id = request_id or new_uuid()
        self.send(json.dumps(request_frame(request_id, method, params)))
        return request_id

    def response(self, request_id: str, deadline: float | None = None) -> Frame:
        """The next response to that request, an empty frame if none came before `deadline`.

        Other frames are dropped. Raises ConnectionLost.
        """
        while (frame := self.receive(deadline)) is not None:
            if is_response(frame, request_id):
                return frame
        return {}

    def send(self, text: str) -> None:
        """Sends a text message as it is. Raises ConnectionLost."""
        try:
            self.socket.send(text)
        except Closed as error:
            raise self._lost(error) from error

    def receive(self, deadline: float | None = None) -> Frame | None:
        """The next frame, a response or an event; None if none came before `deadline`.

        Raises ConnectionLost, also if the gateway has sent nothing for twice its tick interval.
        """
        timeout = self._max_silence
        if deadline is not None:
            timeout = min(timeout, max(0.0, deadline - time.monotonic()))
        try:
            text = self.socket.receive(timeout)
        except Closed as error:
            raise self._lost(error) from error
        if text is not None:
            return load_frame(text)
        if deadline is None or time.monotonic() < deadline:
            raise ConnectionLost(f"{self.url} has been silent for {self._max_silence:g} s.")
        return None

    def collect(self, seconds: float) -> list[Frame]:
        """The frames that arrive within so many seconds; pings are answered meanwhile."""
        deadline = time.monotonic() + seconds
        frames = []
        while (frame := self.receive(deadline)) is not None:
            frames.append(frame)
        return frames

    def close_code(self, timeout: float = ANSWER_SECONDS) -> tuple[int, str]:
        """Receives to the end of the connection: the gateway's close code and reason. Raises NoAnswer."""
        deadline = time.monotonic() + timeout
        try:
            while self.receive(deadline) is not None:
                pass
        except ConnectionLost as lost:
            return lost.close_code, lost.reason
        raise NoAnswer(f"{self.url} did not close the connection within {timeout:g} s.")

    def _connect_error(self, error: RequestRefused, params: Mapping[str, Any]) -> ClientError:
        if error.code in ("PROTOCOL_MISMATCH", "INVALID_REQUEST") and "protocol mismatch" in error.message:
            oldest, newest = params.get("minProtocol"), params.get("maxProtocol")
            return ProtocolMismatch(f"{self.url} does not speak protocol {oldest} to {newest}.")
        if not error.message.startswith("unauthorized") or error.code == "AUTH_RATE_LIMITED":
            return error
        reason = error.message.partition(" (")[0]
        return NotAuthenticated(f"{self.url} does not accept the credentials ({reason}).", reason)

    def _lost(self, closed: Closed) -> ConnectionLost:
        message = f"{self.url} has closed the connection ({closed})."
        return ConnectionLost(message, closed.code, closed.reason)
