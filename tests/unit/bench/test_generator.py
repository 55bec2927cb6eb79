"""The load generator against a server whose answers arrive in awkward pieces."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from bench.generator import Generator

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nServer-Timing: queue;dur=1.0\r\n\r\n"
BODY = b"18\r\ndata: @0000000000000001\n\n\r\n0\r\n\r\n"


def answer_once(listener: socket.socket) -> None:
    client, _ = listener.accept()
    with client:
        client.recv(1000)
        client.sendall(HEAD)
        time.sleep(0.05)  # so that the head is read alone
        client.sendall(BODY)
        client.recv(1000)


@pytest.mark.parametrize("paced", [False, True])
def test_a_head_that_ends_with_a_zero_is_not_the_end_of_the_stream(paced):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=answer_once, args=(listener,), daemon=True)
        server.start()
        port = listener.getsockname()[1]
        generator = Generator(
            port, lambda _: iter([b"GET / HTTP/1.1\r\n\r\n"]), 1, 1, stream=True, paced=paced
        )
        result = generator.run_out(at_most=5)
        generator.close()
        server.join(5)
    assert (result.answers, result.pieces, result.errors) == (1, 1, [])
