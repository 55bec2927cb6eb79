"""How gunicorn reads requests here: it lets the event loop turn, and reads only so much of what nobody wants.

gunicorn has no settings for this. `get_parser` takes the place of `gunicorn.http.get_parser`, which makes the
parser of each connection, and `finish_request` is gunicorn's hook `post_request`. What is used of gunicorn
beyond its documentation is tested in tests/unit/http/test_server_requests.py.
"""

from __future__ import annotations

from typing import Any

from gunicorn.http.body import Body, EOFReader, LengthReader
from gunicorn.http.message import Request
from gunicorn.http.parser import RequestParser
from gunicorn.http.unreader import SocketUnreader

from app.concurrency.fairness import give_way
from app.concurrency.linger import discard_input, end_sending

MAX_HEADER_BYTES = 128 * 1024  # of one request, with its trailers
MAX_UNREAD_BODY = 64 * 1024  # bytes of a refused body that are read so that the connection can be used again
LINGER_SECONDS = 5.0  # for a client to end its request after an answer that came before the end


def get_parser(cfg: Any, source: Any, source_addr: Any, http2_connection: bool = False) -> RequestParser:
    """The parser of one connection. HTTP/2 is off in `gunicorn.conf.py`."""
    assert not http2_connection
    return ServerParser(cfg, source, source_addr)


def finish_request(_worker: Any, request: Any, _environ: Any, response: Any) -> None:
    """For gunicorn's `post_request`: before the connection is closed, let the client end its request."""
    if (
        has_unread_body(request)
        and response is not None
        and response.headers_sent
        and response.should_close()
    ):
        linger(request.unreader.sock)


def linger(sock: Any) -> None:
    """Throw away what the client still sends, for some seconds at most, so that it can read our answer."""
    end_sending(sock)
    discard_input(sock, LINGER_SECONDS)


def has_unread_body(request: Any, more_than: int = 0) -> bool:
    """Whether more than so many bytes of the body are left to read; an unknown number counts as more."""
    reader = request.body.reader
    if isinstance(reader, LengthReader):
        return bool(reader.length > more_than or request.body.failed)
    return reader.parser is not None or bool(request.body.failed)


class ServerUnreader(SocketUnreader):  # type: ignore[misc]
    """Reads from the socket, and lets the event loop turn between two reads."""

    def chunk(self, size_hint: int | None = None) -> bytes:
        data: bytes = super().chunk(size_hint)
        give_way()
        return data


class ServerRequest(Request):  # type: ignore[misc]
    """A request whose headers are bounded as a whole, and which ends its connection if too much is unread."""

    max_buffer_headers: int
    body: Any
    _asks_to_close: bool | None = None  # whether its headers say so; None until somebody has asked

    def parse(self, unreader: Any) -> Any:
        # Headers that come in small pieces are searched again from the start with each of them.
        self.max_buffer_headers = min(self.max_buffer_headers, MAX_HEADER_BYTES)
        return super().parse(unreader)

    def set_body_reader(self) -> None:
        super().set_body_reader()
        if isinstance(self.body.reader, EOFReader):  # neither a length nor chunks: there is no body
            self.body = Body(LengthReader(self.unreader, 0))

    def should_close(self) -> bool:
        """Asked before the answer's headers, which then have `Connection: close`, and twice after its end."""
        if not self.must_close and has_unread_body(self, MAX_UNREAD_BODY):
            self.force_close()
        if self.must_close:
            return True
        if self._asks_to_close is None:
            self._asks_to_close = bool(super().should_close())
        return self._asks_to_close


class ServerParser(RequestParser):  # type: ignore[misc]
    """The requests of one connection, one after the other."""

    mesg_class = ServerRequest

    def __init__(self, cfg: Any, source: Any, source_addr: Any) -> None:
        super().__init__(cfg, source, source_addr)
        self.unreader = ServerUnreader(source)

    def __next__(self) -> Any:
        # A client may send many requests at once (pipelining), which then need no reading from the socket.
        if self.unreader.buf.tell():
            give_way()
        return super().__next__()
