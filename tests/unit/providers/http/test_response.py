"""Reading a provider's answer from a connection that plays what the server sends."""

from __future__ import annotations

import pytest

from app.errors import UpstreamError, UpstreamTruncated
from app.providers.http.pool import Connection, ConnectionPool
from app.providers.http.response import MAX_ERROR_BYTES, Response

HEAD = b"HTTP/1.1 500 Oops\r\nContent-Length: %d\r\n\r\n"


class PlayedSocket:
    """Each `recv` gives the next of `pieces`; an exception is raised; after the last one, the end."""

    def __init__(self, *pieces: bytes | Exception) -> None:
        self.pieces = list(pieces)
        self.closed = False

    def settimeout(self, seconds: float) -> None:
        assert seconds > 0

    def recv(self, size: int) -> bytes:
        piece = self.pieces.pop(0) if self.pieces else b""
        if isinstance(piece, Exception):
            raise piece
        return piece

    def close(self) -> None:
        self.closed = True


class KeptPool(ConnectionPool):
    def __init__(self) -> None:
        self.kept: list[Connection] = []

    def keep(self, connection: Connection) -> None:
        self.kept.append(connection)


def answer(*pieces: bytes | Exception) -> tuple[Response, PlayedSocket, KeptPool]:
    """An answer whose headers have been read."""
    sock, pool = PlayedSocket(*pieces), KeptPool()
    response = Response(pool, Connection(sock))  # type: ignore[arg-type]
    response.read_headers(1.0)
    return response, sock, pool


def test_the_body_comes_as_it_arrives():
    response, sock, pool = answer(HEAD % 6, b"abc", b"def")
    assert response.status == 500
    assert [response.read_some(1.0) for _ in range(3)] == [b"abc", b"def", b""]
    response.close()
    assert len(pool.kept) == 1
    assert not sock.closed


def test_a_body_that_was_not_read_to_its_end_costs_the_connection():
    response, sock, pool = answer(HEAD % 6, b"abc", b"def")
    assert response.read_some(1.0) == b"abc"
    response.close()
    assert (pool.kept, sock.closed) == ([], True)


@pytest.mark.parametrize("end", [b"", ConnectionResetError()])
def test_a_body_that_is_cut_is_told_apart_from_one_that_ends(end: bytes | Exception):
    response, _, _ = answer(HEAD % 6, b"abc", end)
    assert response.read_some(1.0) == b"abc"
    with pytest.raises(UpstreamTruncated):
        response.read_some(1.0)


def test_what_is_not_http_is_the_providers_failure():
    with pytest.raises(UpstreamError, match="not HTTP"):
        answer(b"SSH-2.0-OpenSSH_9.6\r\n")


@pytest.mark.parametrize("end", [b"", TimeoutError(), ConnectionResetError()])
def test_of_an_error_what_has_come_is_enough(end: bytes | Exception):
    response, _, _ = answer(HEAD % 100, b"no such", b" model", end)
    assert response.read_error() == b"no such model"


def test_of_a_large_error_only_the_beginning_is_read():
    size = 4 * MAX_ERROR_BYTES
    pieces = [b"x" * 5000] * (size // 5000)
    response, sock, _ = answer(HEAD % size, *pieces)
    assert response.read_error() == b"x" * MAX_ERROR_BYTES
    assert len(sock.pieces) > len(pieces) / 2
