"""The rows that the store returns: sessions, messages, usage. Times are milliseconds since 1970."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from app.messages import Message
from app.sessions.stored import MessageState, RunState, StoredMessage
from app.storage.message_json import load_message

SPAWNED_BY = "spawnedBy"  # the setting of a session that an agent started: the key of that agent's session
FORKED_FROM = "forkedFrom"  # the setting of a fork: where it comes from
INJECTED = "inject"  # the source of a run that only holds a message added by hand
FORK, IMPORT = "fork", "import"  # the sources of runs that were copied
CALLED = "call"  # of one that holds the answer to a request without a run (`app.runs.once`)
# What runs of these sources used is counted elsewhere, if at all.
NOT_ASKED_FOR = (INJECTED, CALLED, FORK, IMPORT)


@dataclass(frozen=True, slots=True)
class SessionFilter:
    """The sessions that meet every condition which is not None.

    `owner` is the user in whose space they lie (`app.sessions.keys.space_name`); `search` is a part of the
    key, the label or the session id, in any case; `active_since` a time. `space` is that of the key
    (`app.sessions.keys.space_of`), empty for the operator's; `spawned_by` the key of the session whose agent
    started it; `is_spawned`: some agent did; `keys` are those that may be found.
    """

    key: str | None = None
    session_id: str | None = None
    agent_id: str | None = None
    label: str | None = None
    search: str | None = None
    active_since: int | None = None
    owner: str | None = None
    space: str | None = None
    spawned_by: str | None = None
    is_spawned: bool = False
    keys: tuple[str, ...] | None = None


ANY = SessionFilter()


@dataclass(frozen=True, slots=True)
class StoredSession:
    """`model` and the tokens are those of the newest run whose usage is known.

    `title` (the start of the first question) and `preview` (of the last message) are read only when asked
    for. `run_count` is how many runs were ever accepted, `revision` how often the session was reset.
    """

    key: str
    session_id: str
    agent_id: str
    label: str | None
    run_count: int
    created_at: int
    updated_at: int
    revision: int
    settings: Mapping[str, Any]
    model: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    title: str | None = None
    preview: str | None = None

    @property
    def total_tokens(self) -> int | None:
        """Prompt and completion together; None while no run's usage is known."""
        if self.prompt_tokens is None:
            return None
        return self.prompt_tokens + (self.completion_tokens or 0)


class SessionPlace(NamedTuple):
    """Where in the list of sessions, newest first, a page ends, whatever becomes of the session there."""

    updated_at: int
    number: int


@dataclass(frozen=True, slots=True)
class ListedSession:
    """A session as a reader finds it, with title and preview, and how many messages it has."""

    session: StoredSession
    messages: int
    place: SessionPlace


@dataclass(frozen=True, slots=True)
class UnendedRun:
    """A run that goes on, or waits in its session's queue: then `dequeued_at` is None."""

    key: str
    run_id: str
    started_at: int
    dequeued_at: int | None


@dataclass(frozen=True, slots=True)
class OpenCall:
    """A call of one of the agent's own tools that has no result yet, and when it was made."""

    run_id: str
    id: str
    name: str
    called_at: int


@dataclass(frozen=True, slots=True)
class TranscriptRow:
    """A message and its place in the session: `seq` counts from 1; 0 where nobody has counted. Fields from
    `run_id` on are of its run.
    """

    number: int
    seq: int
    message: Message
    state: MessageState
    created_at: int
    run_id: str
    run_state: RunState
    source: str
    model: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    finish_reason: str | None = None
    error: str | None = None

    @property
    def id(self) -> str:
        """The name clients know the message by."""
        if self.source == INJECTED:
            return self.run_id.removeprefix(f"{INJECTED}-")
        return str(self.number)


@dataclass(frozen=True, slots=True)
class MessagePage:
    """Some messages of a session, oldest first, and whether it has others on either side of them."""

    rows: Sequence[TranscriptRow]
    has_older: bool
    has_newer: bool


@dataclass(frozen=True, slots=True)
class FoundMessage:
    """A message that a search has found. `snippet` is the part of it around the words; a better `score` is
    higher.
    """

    key: str
    session_id: str
    agent_id: str
    label: str | None
    number: int
    role: str
    created_at: int
    snippet: str
    score: float


@dataclass(frozen=True, slots=True)
class UsageRow:
    """What the runs of one session, model and day used. `day` is days since 1970."""

    key: str
    session_id: str
    agent_id: str
    label: str | None
    model: str | None
    day: int
    runs: int
    failed: int
    prompt_tokens: int
    completion_tokens: int
    first_at: int
    last_at: int


@dataclass(frozen=True, slots=True)
class MessageCount:
    """How many messages of a role a session has from one day (days since 1970)."""

    key: str
    role: str
    day: int
    count: int


@dataclass(frozen=True, slots=True)
class RunUsage:
    """What one run used, and when it ended (or began, while it goes on)."""

    run_id: str
    at: int
    model: str | None
    prompt_tokens: int
    completion_tokens: int


def load_stored(rows: Iterable[Sequence[Any]]) -> list[StoredMessage]:
    """The rows of `statements.CONVERSATION` or `HISTORY` as messages."""
    return [
        StoredMessage(number, run_number, load_message(role, content), state, run_state)
        for number, run_number, role, content, state, run_state in rows
    ]
