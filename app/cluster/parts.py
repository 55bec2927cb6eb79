"""What a worker has for working together with others: nothing, or what Redis brings."""

from __future__ import annotations

from importlib import import_module

from app.cluster.base import ClusterParts, NoOthers


def build_cluster(url: str | None, ssl_verify: bool) -> ClusterParts:
    """The parts for `redis.url`, not connected yet. To be called after the fork."""
    if url is None:
        return ClusterParts(pubsub=NoOthers())
    # Redis's client takes memory, which only those who have Redis should spend.
    built: ClusterParts = import_module("app.cluster.redis_parts").build(url, ssl_verify)
    return built
