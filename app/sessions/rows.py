"""What the store shows of sessions, their messages and their runs. Times are milliseconds since 1970."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.messages import Message
from app.sessions.history import MessageState, RunState

INJECTED = "inject"  # the source of runs that only hold a message somebody put into a session


@dataclass(frozen=True, slots=True)
class SessionFilter:
    """Which sessions are meant: all that meet every condition given. `search` looks into names."""

    key: str | None = None
    session_id: str | None = None
    agent_id: str | None = None
    label: str | None = None
    search: str | None = None
    active_since: int | None = None


@dataclass(frozen=True, slots=True)
class StoredSession:
    """`model` and the tokens are those of the last run that told them.

    `title` (how the user began) and `preview` (what was said last) are read only when asked for.
    `revision` counts how often the session began anew.
    """

    key: str
    session_id: str
    agent_id: str
    label: str | None
    turns: int
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
        if self.prompt_tokens is None:
            return None
        return self.prompt_tokens + (self.completion_tokens or 0)


@dataclass(frozen=True, slots=True)
class TranscriptRow:
    """A message as it stands in its session; `seq` counts from 1. The last fields are its run's."""

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
        if self.source == INJECTED:
            return self.run_id.removeprefix(f"{INJECTED}-")
        return str(self.number)


@dataclass(frozen=True, slots=True)
class UsageRow:
    """What the runs of one session, model and day used. `day` counts from 1970."""

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
class SaidRow:
    """How many messages of a role a session has of one day."""

    key: str
    role: str
    day: int
    count: int


@dataclass(frozen=True, slots=True)
class RunUsage:
    """What one run used, and when."""

    run_id: str
    at: int
    model: str | None
    prompt_tokens: int
    completion_tokens: int
