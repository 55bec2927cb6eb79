"""One connection that gets messages from Redis, for all of a worker, made again whenever it is lost."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from app.cluster.base import Stop
from app.cluster.link import RedisLink, Wire
from app.concurrency.fairness import give_way
from app.errors import ClusterUnavailable

logger = logging.getLogger("app.cluster")

QUIET_SECONDS = 10.0  # then the server is asked whether it is still there
FIRST_PAUSE, MAX_PAUSE = 0.1, 2.0  # seconds between two attempts to connect
MAX_CHANNELS = 200  # of one command

Handler = Callable[[bytes], object]


class Subscriber:
    """Handlers are called on the subscriber's own greenlet and must not wait; what they raise is logged."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link
        self._handlers: dict[bytes, tuple[Handler, Callable[[], object]]] = {}
        self._connection: Wire = None
        self._confirmed: set[bytes] = set()  # the channels of the present connection
        self._writing = threading.Lock()
        self._is_closed = False
        self._base = link.name("nobody")  # a connection without a channel would answer in another form

    def subscribe(self, channel: bytes, handler: Handler, ready: Callable[[], object] = lambda: None) -> None:
        """Call `handler` with each message of the channel from now on.

        `ready` is called once messages come: soon, and again after each time when some may have been lost.
        """
        self._handlers[channel] = (handler, ready)
        self._send("SUBSCRIBE", [channel])

    def unsubscribe(self, channel: bytes) -> None:
        """No more messages of this channel."""
        if self._handlers.pop(channel, None) is not None:
            self._confirmed.discard(channel)
            self._send("UNSUBSCRIBE", [channel])

    def gets(self, channel: bytes) -> bool:
        """Whether messages of this channel come now."""
        return channel in self._confirmed

    def run(self, stop: Stop) -> None:
        """Be connected until `stop` is set. For a greenlet of its own."""
        pause = FIRST_PAUSE
        while not self._is_closed and not stop.wait(0):
            try:
                self._connection = self._link.connect()
                self._send("SUBSCRIBE", [self._base, *self._handlers])
                self._read_all(self._connection)
                pause = FIRST_PAUSE
            except (ClusterUnavailable, RedisError, OSError) as error:
                logger.debug("the subscription has ended: %s", error)
            finally:
                self._disconnect()
            if stop.wait(pause * random.uniform(0.5, 1.0)):  # noqa: S311
                return
            pause = min(MAX_PAUSE, pause * 2)

    def close(self) -> None:
        """End the connection and `run`."""
        self._is_closed = True
        self._disconnect()

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        self._confirmed.clear()
        if connection is not None:
            connection.disconnect()

    def _send(self, command: str, channels: Iterable[bytes]) -> None:
        """Does nothing without a connection: the next one subscribes to all there is."""
        names, connection = list(channels), self._connection
        if connection is None:
            return
        with self._writing, suppress(RedisError, OSError):  # the reader finds out and connects again
            for first in range(0, len(names), MAX_CHANNELS):
                connection.send_command(command, *names[first : first + MAX_CHANNELS], check_health=False)

    def _read_all(self, connection: Wire) -> None:
        """Until the connection fails."""
        was_asked = False
        while connection is self._connection and not self._is_closed:
            try:
                reply = connection.read_response(
                    disable_decoding=True, timeout=QUIET_SECONDS, disconnect_on_error=False
                )
            except RedisTimeoutError:
                if was_asked:
                    return
                was_asked = True
                self._send("PING", [b""])
                continue
            was_asked = False
            give_way()
            self._handle(reply)

    def _handle(self, reply: Any) -> None:
        kind, channel, data = reply if len(reply) == 3 else (b"", b"", b"")
        if kind == b"subscribe":
            self._confirmed.add(channel)
        handlers = self._handlers.get(channel)
        if handlers is None:
            return
        try:
            if kind == b"message":
                handlers[0](data)
            elif kind == b"subscribe":
                handlers[1]()
        except Exception:
            logger.exception("a message of another worker could not be handled")
