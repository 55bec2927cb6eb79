"""What a worker has of Redis, put together. Imported only if `redis.url` is set: its client takes memory."""

from __future__ import annotations

from app.cluster.base import ClusterParts
from app.cluster.link import RedisLink
from app.cluster.redis_pubsub import RedisPubSub
from app.cluster.subscriber import Subscriber


def build(url: str, ssl_verify: bool) -> ClusterParts:
    """The parts, not connected yet. To be called after the fork."""
    link = RedisLink(url, ssl_verify)
    subscriber = Subscriber(link)
    return ClusterParts(
        pubsub=RedisPubSub(link, subscriber),
        background=(subscriber.run,),
        resources=(subscriber, link),
    )
