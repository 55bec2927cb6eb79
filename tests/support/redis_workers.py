"""Workers of one process that share a real Redis, as those of a gateway do."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from app.cluster.link import RedisLink
from app.cluster.redis_bus import RedisBus
from app.cluster.redis_pubsub import RedisPubSub
from app.cluster.subscriber import Subscriber
from tests.support.provider import wait_until


class RedisWorker:
    """The parts of one worker."""

    def __init__(self, url: str, max_stream_bytes: int = 1024 * 1024) -> None:
        self.link = RedisLink(url)
        self.subscriber = Subscriber(self.link)
        self.pubsub = RedisPubSub(self.link, self.subscriber)
        self.bus = RedisBus(self.link, self.subscriber, uuid.uuid4().hex, max_stream_bytes)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self.subscriber.run, args=(self._stop,), daemon=True)

    def start(self) -> Self:
        self._thread.start()
        return self

    def gets(self, *channel: str) -> bool:
        return self.subscriber.gets(self.link.name(*channel))

    def wait_subscribed(self, *channel: str) -> None:
        wait_until(lambda: self.gets(*channel), 60, "subscription")

    def stop(self) -> None:
        self.bus.writer.close()
        self.bus.reader.close()
        self.die()

    def die(self) -> None:
        """Stop without writing what is left."""
        self._stop.set()
        self.subscriber.close()
        self.link.close()
        self._thread.join(20)
        assert not self._thread.is_alive()


@contextmanager
def redis_workers(url: str, count: int = 2, **options: int) -> Iterator[list[RedisWorker]]:
    """So many workers, connected."""
    workers = [RedisWorker(url, **options).start() for _ in range(count)]
    try:
        for one in workers:
            one.wait_subscribed("nobody")
        yield workers
    finally:
        for one in workers:
            one.stop()
