"""What a changed configuration cannot change in a running gateway: where it listens and what it stores in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from app.config.settings import Settings


def merged_into(running: Settings, loaded: Settings) -> Settings:
    """`loaded` with those values of `running` that cannot change in a running process."""
    kept = ("host", "port", "bind", "custom_bind_host", "bound_host")
    gateway = replace(loaded.gateway, **{name: getattr(running.gateway, name) for name in kept})
    return replace(
        loaded,
        gateway=gateway,
        storage_url=running.storage_url,
        redis_url=running.redis_url,
        redis_ssl_verify=running.redis_ssl_verify,
    )


def changed_for_restart(running: Settings, loaded: Settings) -> Sequence[str]:
    """The keys that `loaded` changes and that need a restart."""
    differs = {
        "gateway.port": running.gateway.port != loaded.gateway.port,
        "gateway.bind": running.gateway.host != loaded.gateway.host,
        "storage.url": running.storage_url != loaded.storage_url,
        "redis.url": running.redis_url != loaded.redis_url,
        "redis.sslVerify": running.redis_ssl_verify != loaded.redis_ssl_verify,
    }
    return [key for key, is_changed in differs.items() if is_changed]
