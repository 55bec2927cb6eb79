"""A client's messages are read only so far ahead of what has been handled."""

from __future__ import annotations

from typing import Any

import pytest

from app.ws.read_ahead import MAX_READ_AHEAD, MAX_READ_AHEAD_BYTES, ReadAhead


class FakeSocket:
    def __init__(self) -> None:
        self.reads = True

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True


def read_ahead(messages: list[str]) -> tuple[Any, FakeSocket]:
    socket = FakeSocket()
    return ReadAhead(socket, messages), socket  # type: ignore[arg-type]


@pytest.mark.parametrize("messages", [["x"] * (MAX_READ_AHEAD + 1), ["x" * MAX_READ_AHEAD_BYTES, "y"]])
def test_reading_pauses_until_there_is_room(messages: list[str]):
    waiting, socket = read_ahead(messages[:-1])
    assert socket.reads
    waiting.append(messages[-1])
    assert not socket.reads
    assert waiting.pop(0) == messages[0]
    assert socket.reads
    assert waiting == messages[1:]


def test_a_larger_message_waits_alone():
    waiting, socket = read_ahead([])
    waiting.append("x" * (MAX_READ_AHEAD_BYTES + 1))
    assert not socket.reads
    waiting.pop(0)
    assert socket.reads
    assert not waiting
