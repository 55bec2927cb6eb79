"""Wrong credentials, counted by all workers together.

A worker tells the others of each one, so each counts all of them. Nobody waits for that; while Redis is away
each counts its own.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Protocol

from app.auth.authenticate import AttemptCounter
from app.auth.network import address_group
from app.cluster.base import PubSub
from app.concurrency.background import spawn
from app.config.settings import AuthRateLimit
from app.errors import AuthRateLimited, ClusterUnavailable

logger = logging.getLogger("app.auth")

MAX_ADDRESSES = 10_000  # that have sent wrong credentials


class OwnAttempts(AttemptCounter, Protocol):
    """What one worker counts; `app.auth.limits` has the one in use."""

    def is_locked(self, address: str, limit: AuthRateLimit) -> bool:
        """Whether the client is locked out."""


class SharedAttempts:
    """Implements `AttemptCounter`. `own` is this worker's count, of what all workers have seen."""

    def __init__(self, own: OwnAttempts, pubsub: PubSub) -> None:
        self._own = own
        self._pubsub = pubsub
        self._failed: OrderedDict[str, None] = OrderedDict()  # since their last right one
        pubsub.subscribe("credentials", self._told)

    def failed(self, address: str, limit: AuthRateLimit) -> None:
        """See `AttemptCounter.failed`."""
        if not self._own.is_locked(address, limit):  # what comes after that is not counted
            self._tell("wrong", address, limit)
        self._remember(address)
        self._own.failed(address, limit)

    def succeeded(self, address: str, limit: AuthRateLimit) -> None:
        """See `AttemptCounter.succeeded`. Costs nothing unless somebody there has sent a wrong one."""
        if self._forget(address):
            self._own.succeeded(address, limit)
            self._tell("right", address, limit)

    def _tell(self, what: str, address: str, limit: AuthRateLimit) -> None:
        if not self._pubsub.is_shared:
            return
        message = {
            "what": what,
            "address": address,
            "limit": [limit.max_attempts, limit.window_seconds, limit.lockout_seconds],
        }
        spawn(self._publish, message)

    def _publish(self, message: Mapping[str, Any]) -> None:
        try:
            self._pubsub.publish("credentials", message)
        except ClusterUnavailable:
            logger.debug("a wrong credential was counted here alone")

    def _told(self, message: Mapping[str, Any]) -> None:
        attempts, window, lockout = message["limit"]
        limit = AuthRateLimit(max_attempts=attempts, window_seconds=window, lockout_seconds=lockout)
        address = str(message["address"])
        if message["what"] == "right":
            self._forget(address)
            self._own.succeeded(address, limit)
        else:
            self._remember(address)
            with suppress(AuthRateLimited):
                self._own.failed(address, limit)

    def _remember(self, address: str) -> None:
        self._failed[address_group(address)] = None
        if len(self._failed) > MAX_ADDRESSES:
            self._failed.popitem(last=False)

    def _forget(self, address: str) -> bool:
        """Whether there was something to be forgotten."""
        return self._failed.pop(address_group(address), self) is None
