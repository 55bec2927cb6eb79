from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.media.fetch import Network
from tests.unit.media.image_host import ImageHost

LOOPBACK = "127.0.0.1"


@pytest.fixture
def host() -> Iterator[ImageHost]:
    with ImageHost() as host:
        yield host


@pytest.fixture
def network() -> Network:
    """Every name ending in `.test` resolves to loopback, and only loopback may be connected to."""
    return Network(resolve=_resolve, is_public=lambda address: address == LOOPBACK)


def _resolve(host: str, port: int) -> list[str]:
    if host.endswith(".test"):
        return [LOOPBACK]
    if host[0].isdigit() or ":" in host:
        return [host]
    raise OSError("no such name")
