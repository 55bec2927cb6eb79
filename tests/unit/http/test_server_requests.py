"""gunicorn's reading of requests, bounded (app/http/server_requests.py): proved on gunicorn 27.0.1.

If a test fails after an update of gunicorn, the module has to change with it.
"""

from __future__ import annotations

import inspect
import socket
from collections.abc import Iterator
from typing import Any

import gunicorn
import gunicorn.http
import pytest
from gunicorn.config import Config
from gunicorn.http.errors import LimitRequestHeaders
from gunicorn.http.wsgi import Response
from gunicorn.workers import base_async

from app.concurrency import linger
from app.http import server_requests
from app.http.server_requests import (
    MAX_HEADER_BYTES,
    MAX_UNREAD_BODY,
    ServerParser,
    finish_request,
    get_parser,
    has_unread_body,
)

HEAD = b"POST /x HTTP/1.1\r\nHost: a\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


class Connection:
    """A client's socket, and the parser at the server's end."""

    def __init__(self) -> None:
        self.sock, self.client = socket.socketpair()
        self.client.settimeout(5)
        self.parser: ServerParser = get_parser(Config(), self.sock, ("127.0.0.1", 1))

    def request(self, data: bytes) -> Any:
        self.client.sendall(data)
        return next(self.parser)

    def answer(self, request: Any) -> Any:
        """An answer of the application's that does not read more of the body."""
        response = Response(request, self.sock, Config())
        response.start_response("401 Unauthorized", [("Content-Length", "2")])
        response.write(b"no")
        response.close()
        return response


@pytest.fixture
def connection() -> Iterator[Connection]:
    connection = Connection()
    with connection.sock, connection.client:
        yield connection


def with_length(size: int) -> bytes:
    return HEAD + b"Content-Length: %d\r\n\r\n" % size


def test_gunicorn_makes_its_parsers_by_the_function_that_is_replaced():
    source = inspect.getsource(base_async)
    assert gunicorn.__version__ == "27.0.1"
    assert "from gunicorn import http" in source
    assert "http.get_parser(self.cfg, client, addr)" in source


@pytest.mark.parametrize(
    ("data", "body"),
    [
        (with_length(3) + b"abc", b"abc"),
        (CHUNKED + b"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", b"abc"),
        (HEAD + b"\r\n", b""),
    ],
)
def test_what_the_application_has_read_is_not_unread(connection: Connection, data: bytes, body: bytes):
    request = connection.request(data)
    assert has_unread_body(request) is bool(body)
    assert request.body.read() == body
    assert not has_unread_body(request)
    assert b"Connection: keep-alive" in answered(connection, request)


def answered(connection: Connection, request: Any) -> bytes:
    connection.answer(request)
    return connection.client.recv(65536)


def test_a_small_unread_body_is_skipped_and_the_connection_goes_on(connection: Connection):
    request = connection.request(with_length(20_000) + b"x" * 20_000)
    assert b"Connection: keep-alive" in answered(connection, request)
    assert connection.request(b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n").path == "/next"


@pytest.mark.parametrize("data", [with_length(MAX_UNREAD_BODY + 1), CHUNKED + b"1\r\na\r\n"])
def test_any_other_unread_body_ends_the_connection(connection: Connection, data: bytes):
    request = connection.request(data)
    assert b"Connection: close" in answered(connection, request)
    with pytest.raises(StopIteration):
        next(connection.parser)


def test_a_body_that_cannot_be_read_ends_the_connection(connection: Connection):
    request = connection.request(CHUNKED + b"nonsense\r\n")
    with pytest.raises(Exception, match="nonsense"):
        request.body.read()
    assert b"Connection: close" in answered(connection, request)


def test_the_client_may_end_its_body_before_the_connection_is_closed(connection: Connection):
    request = connection.request(with_length(200_000))
    response = connection.answer(request)
    connection.client.sendall(b"x" * 100_000)
    connection.client.shutdown(socket.SHUT_WR)
    finish_request(None, request, {}, response)
    connection.sock.close()  # with unread input it would send a reset
    assert connection.client.recv(65536).endswith(b"\r\n\r\nno")
    assert connection.client.recv(65536) == b""


def test_only_so_much_is_thrown_away(connection: Connection, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(linger, "MAX_LINGER_BYTES", 65536)
    request = connection.request(CHUNKED)
    response = connection.answer(request)
    connection.client.setblocking(False)
    while True:
        try:
            connection.client.send(b"x" * 65536)
        except BlockingIOError:
            break
    finish_request(None, request, {}, response)
    connection.sock.setblocking(False)
    assert connection.sock.recv(1) == b"x"


def test_nobody_waits_for_a_client_that_sends_nothing_more(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(server_requests, "LINGER_SECONDS", 0.05)
    request = connection.request(CHUNKED)
    finish_request(None, request, {}, connection.answer(request))


def test_an_answer_that_has_not_begun_is_left_to_gunicorn(connection: Connection):
    request = connection.request(CHUNKED)
    finish_request(None, request, {}, None)
    finish_request(None, request, {}, Response(request, connection.sock, Config()))
    connection.sock.sendall(b"still open")
    assert connection.client.recv(100) == b"still open"


def test_the_headers_are_bounded_as_a_whole(connection: Connection):
    header = b"a: " + b"b" * 8000 + b"\r\n"
    connection.client.sendall(b"GET / HTTP/1.1\r\n" + header * (MAX_HEADER_BYTES // len(header) + 1))
    with pytest.raises(LimitRequestHeaders):
        next(connection.parser)


def test_a_request_without_a_body_leaves_the_next_one_alone(connection: Connection):
    data = b"GET /one HTTP/1.1\r\nHost: a\r\n\r\nGET /two HTTP/1.1\r\nHost: a\r\n\r\n"
    first = connection.request(data)
    assert first.body.read() == b""
    assert connection.parser.unreader.buf.tell() > 0  # whether there is a request that needs no reading
    assert next(connection.parser).path == "/two"
    assert connection.parser.unreader.buf.tell() == 0
