"""The connections of one worker to Redis or Valkey: few, with short time limits, made when they are needed.

Commands are packed and read by redis-py's connection without its client, which takes several times as long
for each. So a caller names commands as Redis documents them, and gets replies as Redis sends them: bytes,
numbers and lists of them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

from redis import connection as redis_connection
from redis.backoff import NoBackoff
from redis.connection import Connection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import MasterDownError, ReadOnlyError, RedisError, ResponseError
from redis.retry import Retry

from app.cluster.breaker import Breaker
from app.cluster.url import connection_failure, redis_options
from app.concurrency.background import is_patched
from app.concurrency.deadline import time_limit
from app.errors import ClusterUnavailable

MAX_CONNECTIONS = 8
ANSWER_SECONDS = 1.0  # for connecting, and for each answer
CONNECT_SECONDS = 2.0  # for the whole of connecting: the name, TLS, the password
IDLE_SECONDS = 60.0  # then a connection is not used again: what is between may have forgotten it
PREFIX = "openclaw:"

_parse: Any = redis_connection.parse_url

Command = Sequence[bytes | str | int | float]
Wire = Any  # redis-py's connection, most of whose methods have no types


class RedisLink:
    """Opens nothing before the first command. To be made after the fork."""

    def __init__(self, url: str, ssl_verify: bool = True, prefix: str = PREFIX) -> None:
        options: dict[str, Any] = {**redis_options(url, ssl_verify), **_parse(url)}
        self._connection_class: type[Connection] = options.pop("connection_class", Connection)
        self._options = options
        # Redis tells subscribers of all its databases; a gateway in another one must not hear it.
        database = options.get("db")
        self._prefix = f"{prefix}{database}:".encode() if database else prefix.encode()
        self._idle: list[tuple[Wire, float]] = []  # the one used last is the last
        self._free = threading.Semaphore(MAX_CONNECTIONS)
        self._is_closed = False
        self.breaker = Breaker()

    def name(self, *parts: str) -> bytes:
        """A key or a channel of this gateway: `openclaw:` and the parts, joined by colons; the number of the
        database first, unless it is 0.
        """
        return self._prefix + ":".join(parts).encode()

    def ask(self, *command: bytes | str | int | float) -> Any:
        """The reply to one command. Raises ClusterUnavailable, also if the server refuses it."""
        reply = self.ask_all([command])[0]
        if isinstance(reply, ResponseError):
            raise ClusterUnavailable(f"Redis refuses a command: {reply}", retry_after=1.0)
        return reply

    def ask_all(self, commands: Sequence[Command]) -> list[Any]:
        """The replies to these commands, sent in one go; to one that is refused it is a ResponseError.

        Raises ClusterUnavailable: Redis is away. Some of the commands may have been done then, and may have
        been done twice otherwise: a connection that turns out to be dead is replaced once.
        """
        self.breaker.check()
        if not self._free.acquire(timeout=ANSWER_SECONDS):
            raise ClusterUnavailable("Too much is asked of Redis at a time. Try again.", retry_after=1.0)
        try:
            replies = self._ask_twice(commands)
        except (RedisError, OSError) as error:
            raise self.breaker.failed(connection_failure(error)) from None
        finally:
            self._free.release()
        self.breaker.worked()
        return replies

    def connect(self) -> Wire:
        """A new connection that answers, for its caller alone. It is tried whatever has failed before.

        Raises ClusterUnavailable.
        """
        try:
            connection = self._connected()
            connection.send_command("PING", check_health=False)
            connection.read_response(disable_decoding=True)
        except (RedisError, OSError) as error:
            raise self.breaker.failed(connection_failure(error)) from None
        self.breaker.worked()
        return connection

    def close(self) -> None:
        """Close what is idle now, and the rest after its use."""
        self._is_closed = True
        self._drop_idle()

    def _ask_twice(self, commands: Sequence[Command]) -> list[Any]:
        connection = self._take_idle()
        if connection is not None:
            try:
                return self._ask(connection, commands)
            except RedisConnectionError:  # ended while it was idle; the others have, too
                self._drop_idle()
        return self._ask(self._connected(), commands)

    def _ask(self, connection: Wire, commands: Sequence[Command]) -> list[Any]:
        """The replies. The connection is kept for later if all went well."""
        is_whole = False
        try:
            connection.send_packed_command(connection.pack_commands(commands), check_health=False)
            replies = [_read(connection) for _ in commands]
            is_whole = not self._is_closed
        finally:
            if is_whole:
                self._idle.append((connection, time.monotonic()))
            else:
                connection.disconnect()
        return replies

    def _connected(self) -> Wire:
        options = {
            "socket_timeout": ANSWER_SECONDS,
            "socket_connect_timeout": ANSWER_SECONDS,
            "socket_keepalive": True,
            "retry": Retry(NoBackoff(), 0),
            "driver_info": None,
            "protocol": 2,
            **self._options,
        }
        if "path" in options:
            del options["socket_keepalive"]
        connection: Wire = self._connection_class(**options)
        late = ClusterUnavailable("Redis did not answer in time.", retry_after=1.0)
        try:
            with time_limit(CONNECT_SECONDS, late) if is_patched() else nullcontext():
                connection.connect()
        except ClusterUnavailable as error:
            connection.disconnect()
            raise RedisConnectionError(error.message) from None
        return connection

    def _take_idle(self) -> Wire | None:
        now = time.monotonic()
        while self._idle:
            connection, since = self._idle.pop()
            if now - since < IDLE_SECONDS:
                return connection
            connection.disconnect()
        return None

    def _drop_idle(self) -> None:
        while self._idle:
            self._idle.pop()[0].disconnect()


def _read(connection: Wire) -> Any:
    """The next reply; the error itself if that command was refused. A refusal that the server gives to all
    commands is raised: it serves nobody now.
    """
    try:
        return connection.read_response(disable_decoding=True)
    except (MasterDownError, ReadOnlyError) as error:  # a replica, since another server has taken over
        raise RedisConnectionError(str(error)) from None
    except ResponseError as error:
        return error
