"""The socket under a WebSocket: whole frames, one writer, a time limit for writing."""

from __future__ import annotations

import socket
import threading

import pytest

from app.ws import buffered_socket
from app.ws.buffered_socket import BufferedSocket
from tests.support.provider import wait_until


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    yield ours, theirs
    ours.close()
    theirs.close()


def test_frames_of_many_threads_arrive_whole_and_in_order(pair):
    ours, theirs = pair
    buffered = BufferedSocket(ours)
    frames = [bytes([65 + number]) * 300_000 for number in range(4)]

    def send(frame: bytes) -> None:
        for _ in range(5):
            buffered.send(frame)

    threads = [threading.Thread(target=send, args=(frame,)) for frame in frames]
    for thread in threads:
        thread.start()
    received = b""
    while len(received) < 4 * 5 * 300_000:
        received += theirs.recv(65536)
    for thread in threads:
        thread.join()
    pieces = [received[start : start + 300_000] for start in range(0, len(received), 300_000)]
    assert sorted(pieces) == sorted(frames * 5)
    wait_until(lambda: buffered.queued == 0, 30, "an empty queue")


def test_a_client_that_takes_nothing_is_disconnected(pair, monkeypatch):
    ours, _ = pair
    monkeypatch.setattr(buffered_socket, "WRITE_SECONDS", 0.05)
    buffered = BufferedSocket(ours)
    lost = threading.Event()
    buffered.on_broken = lost.set
    buffered.send(b"x" * 50_000_000)
    assert buffered.queued <= 50_000_000

    def is_lost() -> bool:
        buffered.check_write_timeout()
        return lost.is_set()

    wait_until(is_lost, 30, "the write timeout")
    assert buffered.queued == 0
    with pytest.raises(BrokenPipeError):
        buffered.send(b"more")


def test_reading_can_be_paused(pair):
    ours, theirs = pair
    buffered = BufferedSocket(ours)
    theirs.sendall(b"hello")
    buffered.pause_reading()
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(buffered.recv(100)))
    reader.start()
    reader.join(0.2)
    assert got == []
    buffered.resume_reading()
    reader.join(30)
    assert got == [b"hello"]


def test_nothing_is_read_while_much_waits_to_be_written(pair, monkeypatch):
    monkeypatch.setattr(buffered_socket, "MAX_UNWRITTEN", 1000)
    ours, theirs = pair
    buffered = BufferedSocket(ours)
    size = 20_000_000  # more than the kernel keeps
    buffered.send(b"x" * size)
    assert buffered.is_behind
    theirs.sendall(b"hello")
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(buffered.recv(100)))
    reader.start()
    reader.join(0.2)
    assert got == []
    received = 0
    while received < size:
        received += len(theirs.recv(1_000_000))
    reader.join(30)
    assert (got, buffered.queued) == ([b"hello"], 0)
    buffered.wait_written()


def test_what_is_being_written_counts_as_queued(pair):
    ours, theirs = pair
    buffered = BufferedSocket(ours)
    buffered.send(b"x" * 20_000_000)
    theirs.recv(1_000_000)
    assert buffered.queued > 15_000_000


def test_the_end_of_the_connection_lets_go_whoever_waits_for_the_client(pair):
    buffered = BufferedSocket(pair[0])
    buffered.send(b"x" * 20_000_000)
    waiter = threading.Thread(target=buffered.wait_written)
    waiter.start()
    waiter.join(0.1)
    assert waiter.is_alive()
    buffered.close()
    waiter.join(30)
    assert not waiter.is_alive()


def test_only_so_much_may_be_sent(pair):
    ours, theirs = pair
    buffered = BufferedSocket(ours, allowance=10)
    exceeded: list[bool] = []
    buffered.on_exceeded = lambda: exceeded.append(True)
    theirs.sendall(b"x" * 10)
    assert buffered.recv(100) == b"x" * 10
    assert exceeded == []
    theirs.sendall(b"x")
    assert buffered.recv(100) == b""
    assert exceeded == [True]
    buffered.allowance = None
    theirs.sendall(b"x" * 100)
    assert buffered.recv(100) == b"x" * 100


def test_a_reader_ends_when_nothing_more_is_to_be_read(pair):
    ours, _ = pair
    buffered = BufferedSocket(ours)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(buffered.recv(100)))
    reader.start()
    buffered.stop_reading()
    reader.join(5)
    assert got == [b""]
