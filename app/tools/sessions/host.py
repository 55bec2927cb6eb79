"""What the tools for sessions need of the rest of the gateway: models, and runs that agents start.

Implemented in `app/control`, which is above tools, and handed in by `app/bootstrap.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, Protocol

import msgspec

from app.cancel import Cancel
from app.tools.base import RunContext

ChildState = Literal["running", "done", "failed", "aborted", "timeout"]


class ModelNames(Protocol):
    """Which models there are, by `provider/model`."""

    def model_of(self, agent_id: str, override: str | None = None) -> str:
        """The model that answers in a session of the agent; `override` was set for the session."""

    def context_tokens(self, model: str) -> int | None:
        """How many tokens it takes, if that is known."""

    def known_model(self, name: str) -> str:
        """The model's full name. Raises InvalidRequest: there is no such model."""


class Activity(Protocol):
    """What is going on in sessions."""

    def is_active(self, session_key: str) -> bool:
        """Whether the session has a run that goes on, or waits."""

    def has_message(self, run: RunContext) -> bool:
        """Whether another run waits in the session of `run`: somebody has written."""


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """What a sub-agent is to do. `agent_id` None: the agent itself; `seconds` 0: no limit of its own.

    `keep` False: its session is deleted once its result is delivered.
    """

    text: str
    name: str | None = None
    label: str | None = None
    agent_id: str | None = None
    model: str | None = None
    thinking: str | None = None
    seconds: float | None = None
    keep: bool = True


class Child(msgspec.Struct, frozen=True, kw_only=True):
    """A sub-agent's run, as it is at this moment. Times are milliseconds since 1970.

    `id` is its name among the sub-agents of a session; `run_id` that of the run. `text` is its answer,
    `error` why there is none. `is_tied`: it ends with the run that started it.
    """

    id: str
    run_id: str
    session_key: str
    agent_id: str
    task: Task
    model: str
    state: ChildState
    started_at: int
    ended_at: int | None = None
    text: str = ""
    error: str | None = None
    is_tied: bool = False


class Subagents(Protocol):
    """The sub-agents of a session. `run` is always the run that asks: it gets at its own ones alone."""

    def spawn(self, run: RunContext, task: Task) -> Child:
        """Start one. Raises ToolError (a bound is reached, the agent is not allowed) and GatewayError."""

    def of(self, run: RunContext) -> Sequence[Child]:
        """Those that go on, and those that ended not long ago, oldest first."""

    def wait(
        self, run: RunContext, child_ids: Sequence[str], seconds: float, cancel: Cancel
    ) -> Sequence[Child]:
        """Wait until all of these have ended, at most `seconds`; they count as delivered if they have."""

    def wait_for_news(
        self, run: RunContext, seconds: float, cancel: Cancel, is_over: Callable[[], bool]
    ) -> Sequence[Child]:
        """Wait for results that were not delivered yet, until `is_over`, at most `seconds`.

        Returns those, which count as delivered.
        """

    def cancel(self, run: RunContext, child_id: str) -> Child:
        """Stop one. Raises ToolError: there is none of that id."""


class Reply(msgspec.Struct, frozen=True):
    """What became of a message to another session. `text` None: there is no answer (yet)."""

    run_id: str
    session_key: str
    text: str | None = None
    error: str | None = None


class Messenger(Protocol):
    """Sends messages to sessions."""

    def send(
        self, run: RunContext, session_key: str, text: str, wait_seconds: float, cancel: Cancel
    ) -> Reply:
        """Ask the session's agent; wait for its answer, at most so long. Raises ToolError and GatewayError.

        If the caller is cancelled while it waits, so is the run that it has started.
        """


class SessionHost(ModelNames, Activity, Messenger, Protocol):
    """All of it but the sub-agents."""
