"""The Gateway protocol's frames, as objects and as bytes.

The functions over bytes are for programs that drive many connections at once and read with their own event
loop; `app.client.websocket` is the socket for everybody else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from app.client.errors import RequestRefused

TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA  # opcodes, RFC 6455, section 5.2
_FIN, _MASKED = 0x80, 0x80
_ZERO_MASK = bytes(4)

Frame = dict[str, Any]
RawFrame = tuple[int, bytes]  # opcode, payload


def request_frame(request_id: str, method: str, params: Mapping[str, Any] | None = None) -> Frame:
    """A request, as docs/websocket.md#frames describes it."""
    frame: Frame = {"type": "req", "id": request_id, "method": method}
    return frame if params is None else {**frame, "params": params}


def connect_params(
    *,
    client: Mapping[str, str],
    auth: Mapping[str, str],
    scopes: Sequence[str] | None = None,
    protocols: tuple[int, int],
) -> Frame:
    """The parameters of `connect`. Without `scopes` the gateway grants all that the credentials allow.

    The challenge that the gateway sends first needs no answer: it is for clients that sign with a device's
    key.
    """
    oldest, newest = protocols
    params: Frame = {
        "minProtocol": oldest,
        "maxProtocol": newest,
        "client": dict(client),
        "role": "operator",
        "auth": dict(auth),
    }
    return params if scopes is None else {**params, "scopes": list(scopes)}


def load_frame(text: str) -> Frame:
    """The frame in a text message; an empty one if it is not a JSON object."""
    try:
        frame = json.loads(text)
    except ValueError:
        frame = None
    return frame if isinstance(frame, dict) else {}


def is_response(frame: Frame, request_id: str) -> bool:
    return frame.get("type") == "res" and frame.get("id") == request_id


def is_accepted(frame: Frame) -> bool:
    """Whether a response says that a run has started: another response follows at its end."""
    payload = frame.get("payload")
    return bool(frame.get("ok")) and isinstance(payload, dict) and payload.get("status") == "accepted"


def payload_of(frame: Frame) -> Any:
    """A response's payload. Raises RequestRefused if it is an error."""
    if frame.get("ok"):
        return frame.get("payload")
    error = frame.get("error") or {}
    error_code, details = error.get("code", "UNAVAILABLE"), error.get("details")
    code = details.get("code", error_code) if isinstance(details, dict) else error_code
    raise RequestRefused(
        error.get("message", "The gateway gives no reason."),
        code,
        error_code=error_code,
        retryable=bool(error.get("retryable")),
        run_failed=isinstance(frame.get("payload"), dict),
    )


def encode_request(request_id: str, method: str, params: Mapping[str, Any]) -> bytes:
    """A request as a client's WebSocket frame."""
    return encode_frame(orjson.dumps(request_frame(request_id, method, params)))


def encode_frame(payload: bytes, opcode: int = TEXT) -> bytes:
    """A client's complete frame (RFC 6455, section 5.2).

    Masked with zeros, which is a valid mask and leaves the payload as it is: fast, and only for a connection
    to this machine, where there is no proxy that masks protect.
    """
    size = len(payload)
    if size < 126:
        head = bytes((_FIN | opcode, _MASKED | size))
    elif size < 65536:
        head = bytes((_FIN | opcode, _MASKED | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((_FIN | opcode, _MASKED | 127)) + size.to_bytes(8, "big")
    return head + _ZERO_MASK + payload


def split_frames(data: bytes) -> tuple[list[RawFrame], bytes]:
    """The complete frames of a server in `data`, and the bytes after them. Servers do not mask."""
    frames: list[RawFrame] = []
    at, end = 0, len(data)
    while end - at >= 2:
        size, begin = data[at + 1], at + 2
        if size >= 126:
            begin += 2 if size == 126 else 8
            size = int.from_bytes(data[at + 2 : begin], "big")
        if begin + size > end:
            break
        frames.append((data[at] & 0x0F, data[begin : begin + size]))
        at = begin + size
    return frames, data[at:]
