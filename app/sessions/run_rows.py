"""Stored runs as those see them who look for one, or for those of a session."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from app.messages import Usage
from app.sessions.stored import RunState, StoredMessage

# How a run stands, in the words of those who ask. A run that the gateway itself has stopped, as it was
# stopping or had lost its lease, was interrupted as much as one that died with its process.
Outcome = Literal["unended", "completed", "failed", "cancelled", "interrupted"]
CANCELLED_CODE, INTERRUPTED_CODE = "run_aborted", "service_unavailable"


def outcome_of_stop(error_code: str | None) -> Outcome:
    """Of a run that was stopped because of an error of that code."""
    if error_code is None or error_code == CANCELLED_CODE:
        return "cancelled"
    return "interrupted" if error_code == INTERRUPTED_CODE else "failed"


class RunPosition(NamedTuple):
    """Where a page of runs, the newest first, goes on: behind the run of that time and id."""

    accepted_at: int
    run_id: str


@dataclass(frozen=True, slots=True)
class RunFilter:
    """The runs that meet every condition which is not None. `owner`: in whose space their sessions lie."""

    owner: str | None = None
    session_key: str | None = None
    outcome: Outcome | None = None
    ids: Collection[str] | None = None


ANY_RUN = RunFilter()


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run of the database. `is_hidden`: its session was made for it alone. `is_resumable`: another worker
    may go on with it. Times are milliseconds since 1970.
    """

    id: str
    session_key: str
    agent_id: str
    is_hidden: bool
    number: int
    source: str
    state: RunState
    worker: str
    fence: int
    accepted_at: int
    dequeued_at: int | None
    ended_at: int | None
    finish_reason: str | None
    error_code: str | None
    error_message: str | None
    model: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    cached_tokens: int | None
    reasoning_tokens: int | None
    usage_estimated: bool | None
    is_resumable: bool

    @property
    def outcome(self) -> Outcome:
        match self.state:
            case "running":
                return "unended"
            case "finished":
                return "completed"
            case "aborted":
                return outcome_of_stop(self.error_code)
            case other:
                return other

    @property
    def has_ended(self) -> bool:
        return self.state != "running"

    @property
    def place(self) -> RunPosition:
        return RunPosition(self.accepted_at, self.id)

    @property
    def usage(self) -> Usage | None:
        """None if it is not known."""
        if self.prompt_tokens is None:
            return None
        return Usage(
            self.prompt_tokens,
            self.completion_tokens or 0,
            self.cached_tokens or 0,
            self.reasoning_tokens or 0,
            bool(self.usage_estimated),
        )


class RunIndex(Protocol):
    """The stored runs, whichever worker has them. All methods raise StorageUnavailable."""

    def find(self, run_id: str) -> StoredRun | None:
        """That run; None if there is none, or it only holds a message that was added by hand."""

    def page(
        self, limit: int, after: RunPosition | None = None, where: RunFilter = ANY_RUN
    ) -> list[StoredRun]:
        """The newest runs; those behind the place `after`, if one is given. Takes its time, while the event
        loop goes on.
        """

    def unended(self, session_keys: Collection[str]) -> list[StoredRun]:
        """The runs of these sessions that have not ended, each session's in the order of its queue."""

    def of_keys(self, key_ids: Collection[str]) -> list[str]:
        """The ids of the runs that idempotency keys with these ids stand for."""

    def messages(self, run_id: str) -> Sequence[StoredMessage]:
        """What the run was asked and has said, in order, its calls of tools and their results among it."""

    def end_orphan(self, run: StoredRun, error_code: str, error_message: str) -> bool:
        """Mark a run of a dead worker as aborted. False if somebody has it again, or it has ended."""
