"""A provider's answer, read from its connection: status, headers, the body's bytes as they arrive.

A provider may be slow, endless or wrong. Each read has its time limit, headers and the like have a bound in
bytes, and whoever reads lets the event loop turn (`give_way`), also while data comes without a pause.
"""

from __future__ import annotations

import time

from geventhttpclient.response import HTTPParseError

from app.concurrency.fairness import give_way
from app.errors import UpstreamError, UpstreamTruncated
from app.providers.http.content_encoding import BodyDecoder, decoder_for
from app.providers.http.parser import AnswerParser
from app.providers.http.pool import Connection, ConnectionPool

READ_SIZE = 64 * 1024
MAX_ERROR_BYTES = 64 * 1024
MAX_ERROR_SECONDS = 5.0  # for the body of an answer that is an error
MAX_TAIL_SECONDS = 0.02  # for what follows the last event
MAX_TAIL_BYTES = 16 * 1024
MAX_HEADER_BYTES = 64 * 1024  # of all headers, and of what is between two pieces of a body


class NoAnswer(UpstreamTruncated):
    """The connection was closed before the first byte of an answer."""


class Response:
    """A provider's answer. `read_some` gives the body's bytes as they arrive.

    geventhttpclient's `HTTPResponse` is meant for its own client, which reads in blocks of a fixed size: only
    its parser is used (app/providers/http/parser.py). Bytes given to `feed` end up, without headers and chunk
    sizes, in `_body_buffer`, a bytearray; the public `read` of its subclass would wait until it has as much
    as it was asked for.
    """

    def __init__(self, pool: ConnectionPool, connection: Connection) -> None:
        self._pool = pool
        self._connection: Connection | None = connection
        self._parser = AnswerParser()
        self._decoder: BodyDecoder | None = None

    @property
    def status(self) -> int:
        """The HTTP status, once the headers have been read."""
        return int(self._parser.get_code())

    def header(self, name: str) -> str | None:
        """A header's value, the first if it was sent several times. Names may be in any case."""
        value = self._parser.get(name)
        return value[0] if isinstance(value, list) else value

    def read_headers(self, timeout: float) -> None:
        """Read until the status and headers are known, skipping answers such as 100 Continue.

        Raises TimeoutError after `timeout` seconds, UpstreamTruncated, UpstreamError if it is not HTTP, has
        more headers than MAX_HEADER_BYTES, or is compressed in a way that is not known.
        """
        started, received = False, 0
        deadline = time.monotonic() + timeout
        while not self._parser.headers_complete or self.status < 200:
            data = self._receive(deadline - time.monotonic(), reset_is_end=not started)
            if not data and started:
                raise UpstreamTruncated("The provider closed the connection in the middle of its headers.")
            if not data:
                raise NoAnswer("The provider closed the connection without an answer.")
            started = True
            self._feed(data)
            received += len(data)
            if received > MAX_HEADER_BYTES and not self._parser.headers_complete:
                raise _too_much()
        if "content-encoding" in self._parser:
            self._decoder = self._decoder_for_body()

    def _decoder_for_body(self) -> BodyDecoder | None:
        try:
            return decoder_for(self.header("content-encoding"))
        except UpstreamError:
            if self.status < 400:
                raise
            return BodyDecoder()  # it fails, and then the status has to say enough

    def read_some(self, timeout: float, as_sent: bool = False) -> bytes:
        """The next bytes of the body, b"" at its end; decompressed unless they are to be had `as_sent`.

        Raises TimeoutError when none come for `timeout` seconds, UpstreamTruncated if the connection ends
        before the body does, UpstreamError if it is not HTTP.
        """
        if self._decoder is not None and not as_sent:
            return self._read_decoded(self._decoder, timeout)
        parser, received, deadline = self._parser, 0, None
        while not parser._body_buffer and not parser.message_complete:
            data = self._receive(timeout)
            self._feed(data)
            if parser._body_buffer or parser.message_complete:
                break
            if not data:
                raise UpstreamTruncated("The provider closed the connection before its answer was complete.")
            received += len(data)
            if received > MAX_HEADER_BYTES:
                raise _too_much()
            deadline = deadline or time.monotonic() + timeout
            timeout = deadline - time.monotonic()
        body = bytes(parser._body_buffer)
        parser._body_buffer.clear()
        return body

    def _read_decoded(self, decoder: BodyDecoder, timeout: float) -> bytes:
        """The next decompressed bytes of the body."""
        while not (piece := decoder.more()):
            data = self.read_some(timeout, as_sent=True)
            if not data:
                decoder.end()
                return b""
            decoder.feed(data)
        give_way()
        return piece

    def read_error(self) -> bytes:
        """The body of an error: what comes in MAX_ERROR_SECONDS and fits in MAX_ERROR_BYTES."""
        deadline = time.monotonic() + MAX_ERROR_SECONDS
        body = bytearray()
        try:
            while len(body) < MAX_ERROR_BYTES and (piece := self.read_some(deadline - time.monotonic())):
                body += piece
        except (TimeoutError, UpstreamTruncated, UpstreamError):
            pass  # what has come says enough
        return bytes(body[:MAX_ERROR_BYTES])

    def close(self) -> None:
        """Return the connection to the pool if the answer was read to its end, else close it."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if self._parser.message_complete and not self._parser.should_close():
            self._pool.keep(connection)
        else:
            connection.close()

    def finish(self) -> None:
        """Read the few bytes that end the body, so that `close` can keep the connection.

        For a caller that knows from the body itself that no more of interest will come.
        """
        deadline, left = time.monotonic() + MAX_TAIL_SECONDS, MAX_TAIL_BYTES
        try:
            while left > 0 and (piece := self.read_some(deadline - time.monotonic())):
                left -= len(piece)
        except (TimeoutError, UpstreamTruncated, UpstreamError):
            return

    def _receive(self, timeout: float, reset_is_end: bool = False) -> bytes:
        if self._connection is None:
            return b""
        if timeout <= 0:
            raise TimeoutError
        sock = self._connection.sock
        sock.settimeout(timeout)
        try:
            data = bytes(sock.recv(READ_SIZE))
        except TimeoutError:
            raise
        except OSError as error:
            if reset_is_end:
                return b""
            raise UpstreamTruncated("The connection to the provider broke off.") from error
        give_way()
        return data

    def _feed(self, data: bytes) -> None:
        try:
            self._parser.feed(data)
        except HTTPParseError as error:
            if not data:
                raise UpstreamTruncated("The provider's answer was cut short.") from error
            if self._parser.message_complete and self.status >= 200:
                return  # the answer is whole; for what came behind it the connection is closed
            raise UpstreamError("The provider's answer is not HTTP. Is its base URL right?") from error


def _too_much() -> UpstreamError:
    return UpstreamError(f"The provider sent more than {MAX_HEADER_BYTES // 1024} KiB of headers.")
