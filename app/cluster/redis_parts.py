"""What a worker has of Redis, put together. Imported only if `redis.url` is set: its client takes memory."""

from __future__ import annotations

from app.cluster.ask import Workers
from app.cluster.link import RedisLink
from app.cluster.parts import ClusterParts
from app.cluster.redis_bus import RedisBus
from app.cluster.redis_pubsub import RedisPubSub
from app.cluster.slots import RedisSlots
from app.cluster.subscriber import Subscriber
from app.config.settings import Settings
from app.ids import new_hex


def build(settings: Settings) -> ClusterParts:
    """The parts, not connected yet. To be called after the fork."""
    assert settings.redis_url is not None
    link = RedisLink(settings.redis_url, settings.redis_ssl_verify)
    subscriber = Subscriber(link)
    pubsub = RedisPubSub(link, subscriber)
    bus = RedisBus(link, subscriber, new_hex(), settings.limits.run_stream_bytes)
    slots = RedisSlots(link)
    return ClusterParts(
        pubsub=pubsub,
        workers=Workers(pubsub),
        bus=bus,
        slots=slots,
        background=(subscriber.run, slots.run),
        resources=(bus.writer, bus.reader, subscriber, link),
    )
