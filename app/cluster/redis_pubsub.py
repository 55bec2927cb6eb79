"""Messages between workers through Redis. They are JSON, with the sender's id, by which it knows its own."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable

import msgspec

from app.cluster.base import Handler, Message, Topic
from app.cluster.link import RedisLink
from app.cluster.subscriber import Subscriber
from app.logs.lines import log_event

logger = logging.getLogger("app.cluster")


class Envelope(msgspec.Struct):
    sender: str
    message: dict[str, object]


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Envelope).decode


class RedisPubSub:
    """Implements `PubSub`. Redis has a channel for each topic."""

    is_shared = True

    def __init__(self, link: RedisLink, subscriber: Subscriber) -> None:
        self._link = link
        self._subscriber = subscriber
        self._sender = secrets.token_hex(8)
        self._handlers: dict[Topic, list[Handler]] = {}

    @property
    def is_away(self) -> bool:
        """See `PubSub.is_away`."""
        return self._link.breaker.is_away

    def publish(self, topic: Topic, message: Message) -> int:
        """See `PubSub.publish`."""
        data, channel = _encode(Envelope(self._sender, dict(message))), self._channel(topic)
        receivers: int = self._link.ask("PUBLISH", channel, data)
        return max(0, receivers - self._subscriber.gets(channel))

    def subscribe(self, topic: Topic, handler: Handler) -> None:
        """See `PubSub.subscribe`. An exception of one handler is logged, and the others are called."""
        handlers = self._handlers.setdefault(topic, [])
        handlers.append(handler)
        if len(handlers) == 1:
            self._subscriber.subscribe(self._channel(topic), self._receiver(topic))

    def _channel(self, topic: Topic) -> bytes:
        return self._link.name("topic", topic)

    def _receiver(self, topic: Topic) -> Callable[[bytes], None]:
        def receive(data: bytes) -> None:
            try:
                envelope = _decode(data)
            except msgspec.MsgspecError as error:
                log_event(logger, logging.WARNING, "not a message of a worker", topic=topic, error=str(error))
                return
            if envelope.sender != self._sender:
                for handler in self._handlers[topic]:
                    self._call(handler, envelope.message)

        return receive

    @staticmethod
    def _call(handler: Handler, message: Message) -> None:
        try:
            handler(message)
        except Exception:
            logger.exception("a message of another worker could not be handled")
