"""Frames of the Gateway protocol: text messages, one JSON object each (docs/websocket.md#frames). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from app.errors import GatewayError, InvalidRequest
from app.json_values import TooManyValues, load_json
from app.ws.errors import dump_error

_INVALID_ID = "invalid"
_TEXT = 0x81  # first byte of a text frame that is a whole message, RFC 6455 section 5.2


@dataclass(frozen=True, slots=True)
class RequestFrame:
    """A client's request; `params` is empty if it gave none."""

    id: str
    method: str
    params: Mapping[str, Any]


class InvalidFrame(InvalidRequest):
    """`frame_id` is the id to answer under: the request's own, or `invalid`."""

    def __init__(self, why: str, frame_id: str = _INVALID_ID) -> None:
        super().__init__(f"invalid request frame: {why}")
        self.frame_id = frame_id


def load_frame(text: str | bytes) -> RequestFrame | None:
    """The request in a message; None for one that is not JSON, which is ignored. Raises InvalidFrame."""
    try:
        frame = load_json(text)
    except TooManyValues as error:
        raise InvalidFrame(f"has {error}") from error
    except ValueError:
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
    """The successful response to the request with that id, as JSON."""
    return orjson.dumps({"type": "res", "id": frame_id, "ok": True, "payload": payload})


def dump_failure(frame_id: str, error: GatewayError, payload: Any = None) -> bytes:
    """The failed response to the request with that id, as JSON."""
    frame = {"type": "res", "id": frame_id, "ok": False, "error": dump_error(error)}
    if payload is not None:
        frame["payload"] = payload
    return orjson.dumps(frame)


class EventFrame:
    """An event for any number of connections. Only `seq` differs between them, so the rest is dumped once."""

    def __init__(self, event: str, payload: Any) -> None:
        frame = {"type": "event", "event": event, "payload": payload}
        self._head = orjson.dumps(frame)[:-1]
        self._payload = payload
        self.event = event

    @property
    def session_key(self) -> Any:
        """The canonical key of the session that the event is about; None if it is about none."""
        return self._payload.get("sessionKey") if isinstance(self._payload, Mapping) else None

    def under(self, session_key: str) -> EventFrame:
        """The same event with another spelling of the session's key."""
        return EventFrame(self.event, {**self._payload, "sessionKey": session_key})

    def numbered(self, seq: int) -> bytes:
        """The frame as JSON, with the number `seq` of its connection."""
        return self._head + b',"seq":%d}' % seq

    def unnumbered(self) -> bytes:
        """The frame as JSON, without a number: for what comes before `connect`."""
        return self._head + b"}"


def text_frame(payload: bytes) -> bytes:
    """`payload` as one unmasked WebSocket text frame (RFC 6455 section 5.2)."""
    size = len(payload)
    if size < 126:
        return bytes((_TEXT, size)) + payload
    if size < 65536:
        return bytes((_TEXT, 126)) + size.to_bytes(2, "big") + payload
    return bytes((_TEXT, 127)) + size.to_bytes(8, "big") + payload
