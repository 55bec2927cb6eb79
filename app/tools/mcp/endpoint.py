"""One HTTP address of a server: requests with the configured headers, redirects, answers, all bounded.

Headers may be secrets, so a redirect to another origin is never followed.
"""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple
from urllib.parse import urljoin

import orjson

from app.config.tool_settings import McpServerSettings
from app.providers.http.proxy import Origin
from app.tools.mcp.connection import Connection, Connector
from app.tools.mcp.protocol import (
    MAX_MESSAGE_BYTES,
    McpError,
    ServerUnavailable,
    error_text,
    too_large,
)

READ_BYTES = 64 * 1024
MAX_ERROR_BYTES = 16 * 1024
MAX_REDIRECTS = 3
TAIL_SECONDS = 0.05  # for what follows the last event of a stream
REDIRECTS = (301, 302, 307, 308)


class BadStatus(McpError):
    """The server has answered with an HTTP status that is no success."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Exchange(NamedTuple):
    """An answer whose body is still to be read, and the connection it comes on."""

    connection: Connection
    response: http.client.HTTPResponse

    @property
    def kind(self) -> str:
        return (self.response.headers.get("Content-Type") or "").partition(";")[0].strip().lower()

    def read_some(self) -> bytes:
        """The next bytes of the body, b"" at its end. Raises OSError and HTTPException."""
        response = self.response
        if response.length == 0:  # the library's `read1` does not notice
            response.close()
            return b""
        piece = response.read1(READ_BYTES)
        if not piece and response.length:
            raise http.client.IncompleteRead(b"")
        return piece

    def read_all(self, limit: int = MAX_MESSAGE_BYTES) -> bytes:
        """The body. Raises McpError if it is larger than that."""
        pieces, size = [], 0
        while piece := self.read_some():
            pieces.append(piece)
            size += len(piece)
            if size > limit:
                raise too_large()
        return b"".join(pieces)


class Endpoint:
    """`url` is where the next request goes: a redirect within the origin moves it."""

    def __init__(self, settings: McpServerSettings) -> None:
        assert settings.url is not None
        self.url = settings.url
        self.connector = Connector(
            settings.url, settings.proxy, settings.trusted_ca_files, settings.ssl_verify
        )
        self._headers = {
            "User-Agent": "openclaw-gateway",
            **{name.title(): value for name, value in settings.headers.items()},
            "Accept-Encoding": "identity",
        }

    @contextmanager
    def ask(
        self,
        method: str,
        headers: Mapping[str, str],
        body: bytes | None,
        seconds: float,
        *,
        fresh: bool = False,
        on_connection: Callable[[Connection], object] = lambda _connection: None,
    ) -> Iterator[Exchange]:
        """An answer with a status of success, whose body the block reads, all within `seconds`.

        `on_connection` gets the connection before it is used. One that is read to its end is kept, unless it
        is to be `fresh`. Raises McpError (BadStatus), OSError, HTTPException.
        """
        deadline = time.monotonic() + seconds
        for _ in range(MAX_REDIRECTS + 1):
            left = max(0.001, deadline - time.monotonic())
            connection = self.connector.connect(left) if fresh else self.connector.take(left)
            done = False
            try:
                on_connection(connection)
                exchange = self._exchange(connection, method, headers, body, deadline)
                if exchange.response.status in REDIRECTS:
                    self.url = self._redirected(exchange)
                    continue
                _require_success(exchange)
                yield exchange
                done = exchange.response.isclosed() and not (exchange.response.will_close or fresh)
                return
            finally:
                if done:
                    self.connector.keep(connection)
                else:
                    connection.hang_up()
        raise ServerUnavailable(f"it redirects more than {MAX_REDIRECTS} times")

    def _exchange(
        self,
        connection: Connection,
        method: str,
        headers: Mapping[str, str],
        body: bytes | None,
        deadline: float,
    ) -> Exchange:
        given = {**self.connector.headers, **self._headers, **headers}
        left = max(0.001, deadline - time.monotonic())
        response = connection.ask(method, self.connector.target(self.url), given, body, left)
        if (response.headers.get("Content-Encoding") or "identity").strip().lower() not in ("", "identity"):
            raise McpError("it compresses its answers though asked not to")
        return Exchange(connection, response)

    def _redirected(self, exchange: Exchange) -> str:
        location = exchange.response.headers.get("Location") or ""
        try:
            url = urljoin(self.url, location)
            same = bool(location) and url.startswith("http") and Origin.parse(url) == self.connector.origin
        except ValueError:
            same = False
        if not same:
            raise ServerUnavailable(
                "it redirects to another server, which is not followed: its headers may be secrets. Set "
                "`url` to the address that is meant"
            )
        return url


def _require_success(exchange: Exchange) -> None:
    status = exchange.response.status
    if 200 <= status < 300:
        return
    if status in (401, 403):
        raise BadStatus(status, f"it refuses the credentials ({status}): check its `headers`")
    message = f"it answered with status {status}"
    try:
        said = orjson.loads(exchange.read_all(MAX_ERROR_BYTES))
    except (McpError, OSError, http.client.HTTPException, ValueError):
        said = None
    if isinstance(said, dict) and isinstance(said.get("error"), dict):
        message = f"{message}: {error_text(said['error'])}"
    raise BadStatus(status, message)


def as_mcp_error(error: Exception) -> McpError:
    """What a failed exchange means, in words."""
    if isinstance(error, McpError):
        return error
    if isinstance(error, TimeoutError):
        return McpError("it did not answer in time")
    if isinstance(error, http.client.RemoteDisconnected | ConnectionError):
        return ServerUnavailable("it closed the connection without an answer")
    if isinstance(error, http.client.IncompleteRead):
        return McpError("its answer was cut short")
    if isinstance(error, http.client.HTTPException):
        return McpError("its answer is not HTTP")
    if isinstance(error, ValueError):
        return McpError("its answer is not JSON")
    return McpError(f"the connection to it broke off ({type(error).__name__})")
