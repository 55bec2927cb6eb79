"""Frames of the Gateway protocol: text, one JSON object each (contract, WebSocket section 2). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from app.errors import GatewayError, InvalidRequest
from app.ws.errors import dump_error

_INVALID_ID = "invalid"


@dataclass(frozen=True, slots=True)
class RequestFrame:
    id: str
    method: str
    params: Mapping[str, Any]


class InvalidFrame(InvalidRequest):
    """`frame_id` is the request's id where it has one, for the answer."""

    def __init__(self, why: str, frame_id: str = _INVALID_ID) -> None:
        super().__init__(f"invalid request frame: {why}")
        self.frame_id = frame_id


def load_frame(text: str | bytes) -> RequestFrame | None:
    """A client's frame; None for what is no JSON and is ignored. Raises InvalidFrame."""
    try:
        frame = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(frame, dict):
        raise InvalidFrame("must be object")
    frame_id = frame.get("id")
    known = frame_id if isinstance(frame_id, str) and frame_id else _INVALID_ID
    if frame.get("type") != "req":
        raise InvalidFrame("at /type: must be equal to constant", known)
    if known is _INVALID_ID:
        raise InvalidFrame("at /id: must be a non-empty string")
    method, params = frame.get("method"), frame.get("params")
    if not isinstance(method, str) or not method:
        raise InvalidFrame("at /method: must be a non-empty string", known)
    if params is not None and not isinstance(params, dict):
        raise InvalidFrame("at /params: must be object", known)
    return RequestFrame(known, method, params or {})


def dump_success(frame_id: str, payload: Any) -> bytes:
    return orjson.dumps({"type": "res", "id": frame_id, "ok": True, "payload": payload})


def dump_failure(frame_id: str, error: GatewayError, payload: Any = None) -> bytes:
    frame = {"type": "res", "id": frame_id, "ok": False, "error": dump_error(error)}
    if payload is not None:
        frame["payload"] = payload
    return orjson.dumps(frame)


class EventFrame:
    """An event for any number of connections: only the number differs, so the rest is written once."""

    def __init__(self, event: str, payload: Any) -> None:
        frame = {"type": "event", "event": event, "payload": payload}
        self._head = orjson.dumps(frame)[:-1]
        self._payload = payload
        self.event = event

    @property
    def session_key(self) -> Any:
        return self._payload.get("sessionKey") if isinstance(self._payload, Mapping) else None

    def under(self, session_key: str) -> EventFrame:
        """The same event, of a session by another name."""
        return EventFrame(self.event, {**self._payload, "sessionKey": session_key})

    def numbered(self, seq: int) -> bytes:
        return self._head + b',"seq":%d}' % seq

    def unnumbered(self) -> bytes:
        return self._head + b"}"
