"""What is known of runs that were accepted before: for requests that are made again."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from app.messages import Usage
from app.sessions.stored import RunState, StoredMessage


class BoundRun(NamedTuple):
    """The run that a key stands for, and what of it decides about the next request with that key.

    `body_hash` is None if it is not known what was asked for.
    """

    run_id: str
    state: RunState
    worker: str
    fence: int
    body_hash: str | None = None


class RememberedRun(NamedTuple):
    """A run as it is stored. `usage` is None while that is not known; `messages` are all of its own, those
    that were replaced since included.
    """

    id: str
    session_key: str
    agent_id: str
    source: str
    state: RunState
    started_at: int
    ended_at: int | None
    finish_reason: str | None
    error_code: str | None
    error_message: str | None
    model: str | None
    usage: Usage | None
    messages: tuple[StoredMessage, ...]


class RunOutcomes(Protocol):
    """What became of runs: for requests that are made again."""

    def bound(self, key_id: str) -> BoundRun | None:
        """The run that the key is bound to; None for an unknown or old key, and one whose run is gone."""

    def named(self, run_id: str, key_id: str | None = None) -> BoundRun | None:
        """The run of that id; with its `body_hash` if that key is bound to it."""

    def is_own(self, run: BoundRun) -> bool:
        """Whether the run is this worker's."""

    def is_left(self, run: BoundRun) -> bool:
        """Whether the worker that has the run is dead."""

    def run(self, run_id: str) -> RememberedRun | None:
        """All that is stored of a run; None for an unknown one."""
