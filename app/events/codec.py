"""Events as bytes and back: the one place that decides how an event looks outside this process.

Each event is a MessagePack map with its tag (`type`) and its fields by name, so a reader skips fields that a
newer writer has added. An event type that the reader does not know is an error.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from app.events.types import Event

PIECE = 256  # events that are written at a time

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Event] = msgspec.msgpack.Decoder(Event)

_list_decoder: msgspec.msgpack.Decoder[list[Event]] = msgspec.msgpack.Decoder(list[Event])


def dump_event(event: Event) -> bytes:
    return _encoder.encode(event)


def dump_events(events: Sequence[Event], max_bytes: int) -> bytes | None:
    """All of them, in their order, as one array; None if they have more bytes, which does not take the memory
    for all of them.
    """
    if len(events) <= PIECE:
        data = _encoder.encode(events)
        return data if len(data) <= max_bytes else None
    pieces = [b"\xdd" + len(events).to_bytes(4, "big")]  # MessagePack's beginning of an array
    size = len(pieces[0])
    for start in range(0, len(events), PIECE):
        pieces.append(b"".join(map(_encoder.encode, events[start : start + PIECE])))
        size += len(pieces[-1])
        if size > max_bytes:
            return None
    return b"".join(pieces)


def load_events(data: bytes) -> list[Event]:
    """The events that `dump_events` wrote. Raises ValueError for anything else."""
    try:
        return _list_decoder.decode(data)
    except msgspec.MsgspecError as error:
        raise ValueError(f"not events: {error}") from error


def load_event(data: bytes) -> Event:
    """The event that `dump_event` wrote. Raises ValueError for anything else."""
    try:
        return _decoder.decode(data)
    except msgspec.MsgspecError as error:
        raise ValueError(f"not an event: {error}") from error
