"""Reading a provider's answer from a connection that plays what the server sends."""

from __future__ import annotations

import gzip
import zlib

import pytest

from app.errors import UpstreamError, UpstreamTruncated
from app.providers.http.content_encoding import MAX_PIECE
from app.providers.http.parser import MAX_INTERIM_ANSWERS
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


OK = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"


def test_headers_have_a_bound():
    for piece in (b"x: y\r\n" * 1000, b"z" * 6000):
        with pytest.raises(UpstreamError, match="64 KiB of headers"):
            answer(b"HTTP/1.1 200 OK\r\nx: ", *[piece] * 12)


def test_interim_answers_have_a_bound():
    interim = b"HTTP/1.1 100 Continue\r\n\r\n"
    response, _, _ = answer(interim * MAX_INTERIM_ANSWERS + OK % 2 + b"hi")
    assert (response.status, response.read_some(1.0)) == (200, b"hi")
    for pieces in ([interim * (MAX_INTERIM_ANSWERS + 1)], [interim] * (MAX_INTERIM_ANSWERS + 1)):
        with pytest.raises(UpstreamError):
            answer(*pieces, OK % 0)


@pytest.mark.parametrize("between", [b"0\r\n" + b"x: y\r\n" * 200, b"1;" + b"x" * 2000])
def test_what_is_between_pieces_of_a_body_has_a_bound(between: bytes):
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    response, sock, _ = answer(chunked, between, *[between[-1000:]] * 100)
    with pytest.raises(UpstreamError):
        response.read_some(1.0)
    assert sock.pieces, "it was given up before the end"


@pytest.mark.parametrize("split", [True, False])
def test_what_comes_behind_an_answer_is_not_read(split: bool):
    whole, behind = OK % 2 + b"hi", OK % 3 + b"you"
    response, sock, pool = answer(*([whole, behind] if split else [whole + behind]))
    assert [response.read_some(1.0), response.read_some(1.0)] == [b"hi", b""]
    response.close()
    if not split:
        assert (pool.kept, sock.closed) == ([], True), "the connection is not in order"


def test_the_end_of_an_answer_has_a_bound():
    response, sock, _ = answer(b"HTTP/1.1 200 OK\r\n\r\n", *[b"x" * 1000] * 100)
    response.finish()
    assert len(sock.pieces) > 50
    response.close()
    assert sock.closed


COMPRESSED = b"HTTP/1.1 200 OK\r\nContent-Encoding: %b\r\nContent-Length: %d\r\n\r\n"


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        (b"gzip", gzip.compress(b"hello")),
        (b"GZIP", gzip.compress(b"hel") + gzip.compress(b"lo")),
        (b"deflate", zlib.compress(b"hello")),
        (b"deflate", zlib.compress(b"hello", wbits=-15)),
        (b"identity", b"hello"),
    ],
)
def test_a_compressed_body_is_read(encoding: bytes, body: bytes):
    head = COMPRESSED % (encoding, len(body))
    for pieces in ([head + body], [head, *(body[at : at + 1] for at in range(len(body)))]):
        response, _, _ = answer(*pieces)
        read = b""
        while piece := response.read_some(1.0):
            read += piece
        assert read == b"hello"


def test_a_compressed_body_comes_in_bounded_pieces():
    body = gzip.compress(b"x" * 10_000_000)
    response, _, _ = answer(COMPRESSED % (b"gzip", len(body)) + body)
    sizes = []
    while piece := response.read_some(1.0):
        sizes.append(len(piece))
    assert sum(sizes) == 10_000_000
    assert max(sizes) <= MAX_PIECE


def test_a_compressed_body_that_cannot_be_read_is_an_error():
    with pytest.raises(UpstreamError, match="'br'"):
        answer(COMPRESSED % (b"br", 0))
    response, _, _ = answer(COMPRESSED % (b"gzip", 5) + b"hello")
    with pytest.raises(UpstreamError, match="damaged"):
        response.read_some(1.0)
    cut = gzip.compress(b"hello")[:-9]
    response, _, _ = answer(COMPRESSED % (b"gzip", len(cut)) + cut)
    assert response.read_some(1.0) == b"hello"
    with pytest.raises(UpstreamTruncated):
        response.read_some(1.0)
