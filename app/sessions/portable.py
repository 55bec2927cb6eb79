"""Sessions as they are copied: into others, out of the gateway, and into it again."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from app.messages import Message
from app.sessions.rows import StoredSession, TranscriptRow
from app.sessions.stored import MessageState, RunState


class PortableRun(NamedTuple):
    """What is kept of a run besides its messages. Times are milliseconds since 1970."""

    state: RunState
    source: str
    started_at: int
    ended_at: int | None = None
    finish_reason: str | None = None
    error_code: str | None = None
    error_message: str | None = None
    model: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    usage_estimated: bool | None = None


class PortableMessage(NamedTuple):
    message: Message
    state: MessageState
    created_at: int


class ExportedMessage(NamedTuple):
    """A message with the number of its run in the session, and the run."""

    row: TranscriptRow
    run_number: int
    run: PortableRun


class Snapshot(NamedTuple):
    """A session at one moment: `ids` are its messages' numbers in their order, `ends` where each piece ends.

    `unended` are the ids of the runs that were going on.
    """

    session: StoredSession
    ids: array[int]
    ends: Sequence[int]
    unended: Sequence[str]


class NewSession(NamedTuple):
    """A session to be stored. `labels` are tried in turn until one is free; None for no label."""

    key: str
    agent_id: str
    labels: Sequence[str] = ()
    settings: Mapping[str, Any] = {}
    created_at: int | None = None


ImportedRun = tuple[PortableRun, Sequence[PortableMessage]]


class SessionCopies(Protocol):
    """All methods raise StorageUnavailable. What they store is there for others when it is whole."""

    def snapshot(self, session_key: str) -> Snapshot | None:
        """The session as it is now, without its messages; None if there is none. Takes its time."""

    def piece(self, snapshot: Snapshot, place: int) -> list[ExportedMessage]:
        """The messages up to `snapshot.ends[place]`, from where the piece before ends. Takes its time.

        Those that were replaced since are still there. Raises NotFound: the session was deleted.
        """

    def fork(self, session_key: str, new: NewSession, message_id: str | None) -> int:
        """Copy the conversation up to and including that message, or all of it; how many messages that are.

        The results of a message's calls come along. Runs that have not ended are left out. Raises NotFound
        (the session, or its message), and SessionConflict: the message belongs to such a run, or the session
        was changed at the same time.
        """

    def add(self, new: NewSession, runs: Sequence[ImportedRun]) -> int:
        """Store a conversation in a new session, or one without messages; how many messages that are.

        Raises SessionConflict: there is a conversation.
        """
