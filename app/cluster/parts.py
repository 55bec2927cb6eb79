"""What a worker has for working together with others: nothing, or what Redis brings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module

from app.cluster.ask import Workers
from app.cluster.base import Closable, NoOthers, PubSub, Slots, Stop
from app.config.settings import Settings
from app.events.bus import EventBus, MemoryBus


@dataclass(frozen=True, kw_only=True)
class ClusterParts:
    """`background` are loops that run until the given event is set; `resources` are closed at the end."""

    pubsub: PubSub
    workers: Workers
    bus: EventBus
    slots: Slots | None = None
    background: Sequence[Callable[[Stop], object]] = ()
    resources: Sequence[Closable] = ()


def build_cluster(settings: Settings) -> ClusterParts:
    """The parts for `redis.url`, not connected yet. To be called after the fork."""
    if settings.redis_url is not None:
        # Redis's client takes memory, which only those who have Redis should spend.
        built: ClusterParts = import_module("app.cluster.redis_parts").build(settings)
        return built
    limits, pubsub = settings.limits, NoOthers()
    bus = MemoryBus(limits.kept_event_bytes, limits.kept_event_seconds)
    return ClusterParts(pubsub=pubsub, workers=Workers(pubsub), bus=bus)
