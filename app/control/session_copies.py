"""Copies of sessions, for their owners: forks, exports, imports (docs/sessions.md#copies)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from app.auth.principal import Principal
from app.concurrency.fairness import give_way
from app.config.settings import Settings
from app.control.models import Models
from app.control.redacted import Redactor
from app.control.session_settings import load_changes, require_changes
from app.control.session_views import SessionViews
from app.control.sessions import Sessions
from app.errors import Forbidden, InvalidRequest, NotFound
from app.ids import new_hex
from app.routing.operator import agent_of_key, resolve_agent_id, resolve_session_key
from app.sessions.keys import MAX_LABEL, owned_key, space_of, stored_key
from app.sessions.portable import ExportedMessage, ImportedRun, NewSession, SessionCopies, Snapshot
from app.sessions.rows import FORKED_FROM, SPAWNED_BY, StoredSession

MAX_SAME_LABELS = 100  # "… (fork)", "… (fork 2)" and so on; more have none


@dataclass(frozen=True, slots=True)
class Export:
    """A session, and its messages piece by piece, oldest first, without credentials."""

    session: StoredSession
    messages: int
    unended: Sequence[str]
    pieces: Iterator[Sequence[ExportedMessage]]


@dataclass(frozen=True, slots=True)
class ImportedSession:
    """What is to be imported. `settings` are as their caller gave them; `skipped` messages were left out."""

    runs: Sequence[ImportedRun]
    label: str | None = None
    settings: Mapping[str, Any] | None = None
    created_at: int | None = None
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class Imported:
    """How many messages the session of that key has now, and which settings could not be taken over."""

    key: str
    messages: int
    skipped_settings: Sequence[str]


class SessionCopier:
    """`settings` gives those in force. All methods raise StorageUnavailable."""

    def __init__(
        self,
        settings: Callable[[], Settings],
        copies: SessionCopies,
        sessions: Sessions,
        views: SessionViews,
        models: Models,
    ) -> None:
        self._settings = settings
        self._copies = copies
        self._sessions = sessions
        self._views = views
        self._models = models
        self._redactor = Redactor(settings)

    def fork(self, principal: Principal, name: str, message_id: str | None = None) -> str:
        """The key of a new session with the conversation up to and including that message, or all of it.

        It belongs to whom the session belongs. Raises NotFound (session, or message), InvalidSessionKey and
        SessionConflict: the message's run has not ended.
        """
        source = self._views.one(principal, name).session
        agent_id = agent_of_key(source.key, self._settings())
        key = f"agent:{agent_id}:{space_of(source.key)}fork-{new_hex()}"
        settings = {name: value for name, value in source.settings.items() if name != SPAWNED_BY}
        settings[FORKED_FROM] = {"key": source.key, "messageId": message_id}
        label = source.label or source.title or source.key.rpartition(":")[2]
        new = NewSession(key, source.agent_id, _labels(label, "fork"), settings)
        self._copies.fork(source.key, new, message_id)
        self._sessions.changed(key, "create")
        return key

    def export(self, principal: Principal, name: str) -> Export:
        """The caller's session as it is at this moment. Raises NotFound and InvalidSessionKey.

        Its `pieces` raise NotFound, too: the session was deleted in between.
        """
        key = self._views.key(principal, name)
        snapshot = self._copies.snapshot(key)
        if snapshot is None:
            raise NotFound(f"There is no session {name[:200]!r}.")
        found = snapshot.session
        label = found.label and self._redactor.text(found.label)
        session = replace(found, label=label, settings=self._redactor.value(dict(found.settings)))
        return Export(session, len(snapshot.ids), snapshot.unended, self._pieces(snapshot))

    def import_as(self, principal: Principal, name: str | None, given: ImportedSession) -> Imported:
        """Store a conversation in the session of that name, which has none, or in a new one.

        Raises InvalidSessionKey, UnknownAgent, InvalidRequest (the label) and SessionConflict (there is a
        conversation).
        """
        key = self._new_key(principal, name)
        settings, skipped = self._allowed(principal, given.settings or {})
        label = None if given.label is None else load_changes({"label": given.label}, self._models)["label"]
        agent_id = agent_of_key(key, self._settings())
        labels = () if label is None else (label, *_labels(label, "import"))
        new = NewSession(key, agent_id, labels, settings, given.created_at)
        count = self._copies.add(new, given.runs)
        self._sessions.changed(key, "create")
        return Imported(key, count, skipped)

    def _pieces(self, snapshot: Snapshot) -> Iterator[Sequence[ExportedMessage]]:
        for place in range(len(snapshot.ends)):
            yield [self._shown(one) for one in self._copies.piece(snapshot, place)]

    def _shown(self, one: ExportedMessage) -> ExportedMessage:
        give_way()
        message, run = self._redactor.message(one.row.message), one.run
        if run.error_message:
            run = run._replace(error_message=self._redactor.text(run.error_message))
        return one._replace(row=replace(one.row, message=message), run=run)

    def _new_key(self, principal: Principal, name: str | None) -> str:
        """The key of a session that the caller may make."""
        settings = self._settings()
        if name is None:
            return owned_key(f"agent:{settings.default_agent.id}:import-{new_hex()}", principal.owner)
        key = resolve_session_key(name, None, settings, principal.owner)
        agent_id = resolve_agent_id(agent_of_key(key, settings), settings)
        return stored_key(key, agent_id, settings.session.main_key, principal.owner, "caller")

    def _allowed(self, principal: Principal, given: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """Those of an export's settings that the caller may set, and the names of the others."""
        allowed: dict[str, Any] = {}
        skipped: list[str] = []
        for name, value in given.items():
            try:
                changes = load_changes({name: value}, self._models)
                require_changes(principal, changes)
            except (InvalidRequest, Forbidden):
                changes = {}
            if changes.get(name) is None or name == SPAWNED_BY:
                skipped.append(name)
            else:
                allowed[name] = changes[name]
        return allowed, skipped


def _labels(label: str, what: str) -> list[str]:
    """The label with a remark that says what the session is, and others in case that one is taken."""
    marks = [f" ({what})", *(f" ({what} {number})" for number in range(2, MAX_SAME_LABELS))]
    return [label[: MAX_LABEL - len(mark)] + mark for mark in marks]
