"""Frames as bytes: a server's library reads what is encoded, and what it writes is split into frames."""

from __future__ import annotations

import pytest
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, Ping, TextMessage

from app.client.frames import PING, PONG, TEXT, encode_frame, split_frames

SIZES = (0, 125, 126, 65535, 65536)


@pytest.mark.parametrize("size", SIZES)
def test_a_servers_library_reads_what_is_written(size):
    server = Connection(ConnectionType.SERVER)
    server.receive_data(encode_frame(b"x" * size))
    assert "".join(event.data for event in server.events()) == "x" * size


@pytest.mark.parametrize("size", SIZES)
def test_what_a_servers_library_writes_is_split(size):
    server = Connection(ConnectionType.SERVER)
    data = server.send(TextMessage("x" * size)) + server.send(Ping(b"there?"))
    assert split_frames(data) == ([(TEXT, b"x" * size), (PING, b"there?")], b"")


@pytest.mark.parametrize("size", SIZES)
def test_an_incomplete_frame_waits_for_its_rest(size):
    server = Connection(ConnectionType.SERVER)
    data = server.send(BytesMessage(b"x" * size))
    for cut in {1, len(data) // 2, len(data) - 1}:
        frames, rest = split_frames(data[:cut])
        assert (frames, rest) == ([], data[:cut])
        assert split_frames(rest + data[cut:]) == ([(0x2, b"x" * size)], b"")


def test_a_pong_carries_what_the_ping_had():
    server = Connection(ConnectionType.SERVER)
    server.receive_data(encode_frame(b"there?", PONG))
    assert [event.payload for event in server.events()] == [b"there?"]
