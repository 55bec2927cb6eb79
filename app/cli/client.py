"""A client of the Gateway protocol (docs/websocket.md): requests out, responses and events in.

Knows nothing of commands or terminals. Every failure is a `ClientError` that says what to do.
"""

from __future__ import annotations

import json
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from app import VERSION
from app.cli.errors import (
    CannotConnect,
    ClientError,
    ConnectionLost,
    NoAnswer,
    NotLetIn,
    ProtocolMismatch,
    Refused,
)
from app.cli.exit_codes import EXIT_FAILED, EXIT_TRY_AGAIN, EXIT_USAGE
from app.cli.target import Target
from app.cli.websocket import Closed, UpgradeRefused, WebSocket

OLDEST, NEWEST = 3, 4
TICK_SECONDS = 30.0
CONNECT_SECONDS = 10.0

Frame = dict[str, Any]


class GatewayClient:
    """One connection. `hello` is what the gateway has said of itself."""

    def __init__(self, target: Target, scopes: Sequence[str], timeout: float = CONNECT_SECONDS) -> None:
        self.target = target
        self._socket = _open(target.url, timeout)
        self._silence = 2 * TICK_SECONDS
        try:
            self.hello = self._connect(scopes, timeout)
        except BaseException:
            self.close()
            raise
        policy = self.hello.get("policy") or {}
        self._silence = 2 * policy.get("tickIntervalMs", TICK_SECONDS * 1000) / 1000

    def __enter__(self) -> GatewayClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def call(self, method: str, params: Mapping[str, Any] | None = None, timeout: float | None = 30) -> Any:
        """The payload of the (last) response. Raises Refused, NoAnswer and ConnectionLost."""
        deadline = _deadline(timeout)
        request = self.send(method, params)
        while True:
            frame = self.receive(deadline)
            if frame is None:
                raise NoAnswer(f"{self.target.url} did not answer {method} within {timeout:g} s.")
            if is_response(frame, request) and not is_accepted(frame):
                return payload_of(frame)

    def send(self, method: str, params: Mapping[str, Any] | None = None) -> str:
        """Sends a request; its id."""
        request = str(uuid.uuid4())
        frame = {"type": "req", "id": request, "method": method, "params": params or {}}
        try:
            self._socket.send(json.dumps(frame))
        except Closed as error:
            raise self._lost(error) from error
        return request

    def receive(self, deadline: float | None = None) -> Frame | None:
        """The next frame; None if none came before `deadline` (monotonic). Raises ConnectionLost."""
        patience = self._silence
        if deadline is not None:
            patience = min(patience, max(0.0, deadline - time.monotonic()))
        try:
            text = self._socket.receive(patience)
        except Closed as error:
            raise self._lost(error) from error
        if text is not None:
            return _load(text)
        if deadline is None or time.monotonic() < deadline:
            raise ConnectionLost(f"{self.target.url} has been silent for {self._silence:g} s.")
        return None

    def pause(self, seconds: float) -> None:
        """Waits, and answers pings meanwhile; what comes in is dropped."""
        deadline = time.monotonic() + seconds
        while self.receive(deadline) is not None:
            pass

    def _connect(self, scopes: Sequence[str], timeout: float) -> Frame:
        """The challenge needs no answer: it is for clients that sign with a device's key."""
        params = {
            "minProtocol": OLDEST,
            "maxProtocol": NEWEST,
            "client": {"id": "cli", "version": VERSION, "platform": sys.platform, "mode": "cli"},
            "role": "operator",
            "scopes": list(scopes),
            "auth": dict(self.target.auth),
        }
        try:
            hello: Frame = self.call("connect", params, timeout)
        except Refused as error:
            raise self._not_let_in(error) from error
        return hello

    def _not_let_in(self, error: Refused) -> ClientError:
        if error.code in ("PROTOCOL_MISMATCH", "INVALID_REQUEST") and "protocol mismatch" in error.message:
            return ProtocolMismatch(
                f"{self.target.url} does not speak protocol {OLDEST} to {NEWEST}, as this command does."
            )
        if not error.message.startswith("unauthorized") or error.code == "AUTH_RATE_LIMITED":
            return error
        why = error.message.partition(" (")[0]
        problem = (
            f"does not take the secret from {self.target.source}" if self.target.auth else "wants a secret"
        )
        return NotLetIn(
            f"{self.target.url} {problem} ({why}). It is looked for in --token and --password, in "
            "OPENCLAW_GATEWAY_TOKEN and OPENCLAW_GATEWAY_PASSWORD, and in the configuration: gateway.auth, "
            "or gateway.remote for another machine's gateway."
        )

    def _lost(self, closed: Closed) -> ConnectionLost:
        return ConnectionLost(f"{self.target.url} has closed the connection ({closed}).")


def is_response(frame: Frame, request: str) -> bool:
    return frame.get("type") == "res" and frame.get("id") == request


def is_accepted(frame: Frame) -> bool:
    """Of a run that has only begun: another response will follow."""
    payload = frame.get("payload")
    return bool(frame.get("ok")) and isinstance(payload, dict) and payload.get("status") == "accepted"


def payload_of(frame: Frame) -> Any:
    """What a response brings. Raises Refused."""
    if frame.get("ok"):
        return frame.get("payload")
    error = frame.get("error") or {}
    code, details = error.get("code", "UNAVAILABLE"), error.get("details")
    if isinstance(details, dict):
        code = details.get("code", code)
    raise Refused(error.get("message", "The gateway gives no reason."), code, _exit_code(frame, error))


def _exit_code(frame: Frame, error: Mapping[str, Any]) -> int:
    if error.get("code") in ("INVALID_REQUEST", "FORBIDDEN"):
        return EXIT_USAGE
    run_failed = isinstance(frame.get("payload"), dict)
    return EXIT_FAILED if run_failed and not error.get("retryable") else EXIT_TRY_AGAIN


def _open(url: str, timeout: float) -> WebSocket:
    try:
        return WebSocket(url, timeout)
    except UpgradeRefused as error:
        raise CannotConnect(f"{url} refuses the connection ({error}). Is it a gateway?") from error
    except OSError as error:
        why = error.strerror or str(error) or type(error).__name__
        raise CannotConnect(
            f"No gateway answers at {url} ({why}). Start one with `bin/serve`, name another with --url, "
            "or let `agent --local` answer without one."
        ) from error


def _load(text: str) -> Frame:
    try:
        frame = json.loads(text)
    except ValueError:
        frame = None
    return frame if isinstance(frame, dict) else {}


def _deadline(timeout: float | None) -> float | None:
    return None if timeout is None else time.monotonic() + timeout
