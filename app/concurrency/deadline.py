"""A time limit for a block that waits on the network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import gevent

from app.errors import GatewayError


@contextmanager
def time_limit(seconds: float, error: GatewayError) -> Iterator[None]:
    """Raise `error` in a block that waits on the network for more than `seconds`."""
    with gevent.Timeout(seconds, error):
        yield
