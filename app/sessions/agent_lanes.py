"""An agent's limit of runs at a time, over all workers.

Each worker lets its own runs come up in their order, as many as the limit; those take a slot that Redis
counts, or wait until another worker gives one back. While Redis is away the limit holds for each worker.
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from typing import Protocol

from app.cancel import Cancel
from app.cluster.base import Message, PubSub, Slots
from app.errors import ClusterUnavailable
from app.ids import new_hex
from app.logs.lines import log_event
from app.sessions.lanes import Lanes

logger = logging.getLogger("app.sessions")

LOOK_SECONDS = 1.0  # a message that a slot is free may be lost


class AgentPlace(Protocol):
    """A run's place in its agent's lane. Its holder must call `leave`."""

    def wait(self, cancel: Cancel) -> None:
        """Block until the run may begin. For a cancelled run: leave the lane, and raise the reason."""

    def leave(self) -> None:
        """The run has ended. May be called more than once."""


class AgentLanes(Protocol):
    """The lanes of all agents with a limit."""

    def join(self, key: str, width: int = 1) -> AgentPlace:
        """A place for a run of the agent `key`, of which `width` run at a time."""


def local_lanes() -> Lanes:
    """Those of a single worker; `gateway.http.maxRuns` bounds what waits in them."""
    return Lanes(cap=1_000_000)


class SharedAgentLanes:
    """Implements `AgentLanes`."""

    def __init__(self, slots: Slots, pubsub: PubSub) -> None:
        self.slots = slots
        self._pubsub = pubsub
        self._local = local_lanes()
        self._waiting: dict[str, set[threading.Event]] = defaultdict(set)
        pubsub.subscribe("agents", self._told)

    def join(self, key: str, width: int = 1) -> SharedPlace:
        """See `AgentLanes.join`."""
        return SharedPlace(self, key, width, self._local.join(key, width))

    def wait_free(self, agent: str, cancel: Cancel) -> None:
        """Wait until somebody may have given a slot back."""
        free = threading.Event()
        self._waiting[agent].add(free)
        try:
            with cancel.waking(free.set):
                free.wait(LOOK_SECONDS)
        finally:
            self._waiting[agent].discard(free)

    def give_back(self, agent: str, holder: str) -> None:
        """Let others have the slot."""
        try:
            self.slots.give_back(agent, holder)
            self._pubsub.publish("agents", {"agent": agent})
        except ClusterUnavailable as error:
            log_event(logger, logging.DEBUG, "a slot could not be given back", why=error.message)

    def _told(self, message: Message) -> None:
        for free in tuple(self._waiting.get(str(message["agent"]), ())):
            free.set()


class SharedPlace:
    """Implements `AgentPlace`."""

    def __init__(self, lanes: SharedAgentLanes, agent: str, width: int, local: AgentPlace) -> None:
        self._lanes = lanes
        self._agent = agent
        self._width = width
        self._local = local
        self._holder: str | None = None

    def wait(self, cancel: Cancel) -> None:
        """See `AgentPlace.wait`."""
        self._local.wait(cancel)
        try:
            while not self._take():
                self._lanes.wait_free(self._agent, cancel)
                cancel.check()
        except BaseException:
            self.leave()
            raise

    def leave(self) -> None:
        """See `AgentPlace.leave`."""
        holder, self._holder = self._holder, None
        if holder is not None:
            self._lanes.give_back(self._agent, holder)
        self._local.leave()

    def _take(self) -> bool:
        holder = new_hex()
        try:
            if not self._lanes.slots.take(self._agent, self._width, holder):
                return False
        except ClusterUnavailable:
            return True  # this worker's own limit holds
        self._holder = holder
        return True
