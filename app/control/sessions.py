"""What an operator changes about sessions: settings, messages, and the runs that are going on in one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from app.config.settings import Settings
from app.control.models import Models
from app.control.runs import AllRuns
from app.control.session_settings import load_changes
from app.errors import InvalidRequest, ServiceUnavailable
from app.routing.operator import agent_of_key, main_session_key, resolve_agent_id
from app.sessions.base import SessionStore
from app.sessions.rows import StoredSession

# What has become of a session, in the words of OpenClaw's clients.
Change = Literal["create", "patch", "reset", "delete", "compact"]


@dataclass(frozen=True, slots=True)
class Compacted:
    """How many messages a session had, and how many of them are left."""

    before: int
    kept: int


class Sessions:
    """Takes canonical session keys (`app.routing.operator`). All methods raise StorageUnavailable.

    `listeners` are called with the key of each session that is changed here, and how. They must not wait.
    """

    def __init__(
        self,
        settings: Callable[[], Settings],
        store: SessionStore,
        runs: AllRuns,
        models: Models,
    ) -> None:
        self._settings = settings
        self._store = store
        self._runs = runs
        self._models = models
        self.listeners: list[Callable[[str, Change], object]] = []

    def changed(self, key: str, change: Change) -> None:
        """Tell the listeners."""
        for listener in self.listeners:
            listener(key, change)

    def create(self, key: str, given: Mapping[str, Any]) -> StoredSession:
        """The session, made if there is none, with the settings `given`.

        Raises UnknownAgent (its agent is not configured) and InvalidRequest (the settings).
        """
        agent_id = resolve_agent_id(agent_of_key(key, self._settings()), self._settings())
        session = self._store.index.patch(key, agent_id, load_changes(given, self._models))
        self.changed(key, "create")
        return session

    def patch(self, key: str, changes: Mapping[str, Any]) -> StoredSession:
        """The session, made if there is none, with `changes` (of `load_changes`) in force.

        Raises InvalidRequest: another session has the label.
        """
        session = self._store.index.patch(key, agent_of_key(key, self._settings()), changes)
        self.changed(key, "patch")
        return session

    def reset(self, key: str) -> StoredSession | None:
        """The session without its messages; its settings stay, and its runs are ended.

        Made if there is none; None only if it was deleted in the meantime. Raises ServiceUnavailable.
        """
        if not self.empty(key):
            self.patch(key, {})
        return self._store.index.describe(key)

    def empty(self, key: str) -> bool:
        """The same for a session that exists. False if there is none. Raises ServiceUnavailable."""
        self.end_runs(key, "The session was reset.")
        was_there = self._store.index.reset(key)
        if was_there:
            self.changed(key, "reset")
        return was_there

    def delete(self, key: str) -> bool:
        """Delete a session with all its messages, and end its runs. False if there was none.

        Raises InvalidRequest (the default agent's main session) and ServiceUnavailable.
        """
        if key == main_session_key(self._settings()):
            raise InvalidRequest(f"Cannot delete the main session ({key}).")
        self.end_runs(key, "The session was deleted.")
        was_there = self._store.index.delete(key)
        if was_there:
            self.changed(key, "delete")
        return was_there

    def compact(self, key: str, most: int) -> Compacted:
        """Delete all but the newest `most` messages; end the session's runs. Raises ServiceUnavailable."""
        self.end_runs(key, "The session is being compacted.")
        before = self._store.transcripts.length(key)
        if not before:
            return Compacted(0, 0)
        kept = self._store.transcripts.compact(key, most)
        self.changed(key, "compact")
        return Compacted(before, kept)

    def active_runs(self, key: str) -> Sequence[str]:
        """The ids of the session's runs that have not ended, waiting ones included, at any worker."""
        return self._runs.in_session(key)

    def end_runs(self, key: str, why: str) -> None:
        """Abort the session's runs and wait until their ends are stored.

        Raises ServiceUnavailable if that takes too long.
        """
        going_on = self._runs.in_session(key)
        if not going_on:
            return
        self._runs.stop(going_on, why)
        if self._runs.in_session(key):
            raise _still_active(key)


def _still_active(key: str) -> ServiceUnavailable:
    return ServiceUnavailable(f"Session {key} is still active; try again in a moment.", retry_after=1)
