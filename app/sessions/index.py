"""The sessions there are: found, shown, named, set, begun anew."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import JSON, ColumnElement, Connection, Select, bindparam, case, func, or_, select

from app.errors import InvalidRequest
from app.messages import Role
from app.sessions.rows import SessionFilter, StoredSession
from app.storage.message_json import load_message
from app.storage.sqlite.database import Database
from app.storage.tables import messages, runs, sessions

ANY = SessionFilter()
TITLE = 60  # characters
PREVIEW = 120
READABLE = 64 * 1024  # characters; a longer message, mostly a picture, is not read for a list
RESET = "reset"

_told = runs.alias("told")
_later = runs.alias("later")
_LAST_TOLD = (
    select(_later.c.id)
    .where(_later.c.session == sessions.c.id, _later.c.prompt_tokens.is_not(None))
    .order_by(_later.c.turn.desc())
    .limit(1)
    .correlate(sessions)
    .scalar_subquery()
)
_COLUMNS = (
    sessions.c.key,
    sessions.c.session_id,
    sessions.c.agent_id,
    sessions.c.label,
    sessions.c.turns,
    sessions.c.created_at,
    sessions.c.updated_at,
    sessions.c.revision,
    sessions.c.settings,
    _told.c.model,
    _told.c.prompt_tokens,
    _told.c.completion_tokens,
)
_SESSIONS = select(*_COLUMNS).select_from(sessions.outerjoin(_told, _told.c.id == _LAST_TOLD))


def _said(*roles: Role, last: bool) -> ColumnElement[Any]:
    """A session's first or last message of these roles."""
    said = messages.alias()
    order = (said.c.turn.desc(), said.c.position.desc()) if last else (said.c.turn, said.c.position)
    return (
        select(case((func.length(said.c.content) <= READABLE, said.c.content)))
        .where(said.c.session == sessions.c.id, said.c.role.in_(roles), said.c.replaced_by.is_(None))
        .order_by(*order)
        .limit(1)
        .correlate(sessions)
        .scalar_subquery()
    )


_WITH_TEXTS = _SESSIONS.add_columns(_said("user", last=False), _said("user", "assistant", last=True))

_SETTINGS = select(sessions.c.settings).where(sessions.c.key == bindparam("of_key"))
_FOUND = select(sessions.c.id, sessions.c.settings, sessions.c.label).where(
    sessions.c.key == bindparam("of_key")
)
_NAMED = select(sessions.c.key).where(
    sessions.c.label == bindparam("name"), sessions.c.key != bindparam("of_key")
)
_ADD = sessions.insert()
_SET = (
    sessions.update()
    .where(sessions.c.id == bindparam("session"))
    .values(
        settings=bindparam("new_settings", type_=JSON),
        label=bindparam("new_label"),
        updated_at=bindparam("now"),
    )
)
_BEGIN_ANEW = (
    sessions.update()
    .where(sessions.c.key == bindparam("of_key"))
    .values(revision=sessions.c.revision + 1, updated_at=bindparam("now"))
    .returning(sessions.c.id)
)
_FORGET = (
    messages.update()
    .where(messages.c.session == bindparam("of_session"), messages.c.replaced_by.is_(None))
    .values(replaced_by=RESET)
)
_ABORT = (
    runs.update()
    .where(runs.c.session == bindparam("of_session"), runs.c.state == "running")
    .values(state="aborted", ended_at=bindparam("now"), error_code="run_aborted")
)


class SessionIndex:
    """Each operation is one transaction. All raise `StorageUnavailable`."""

    _database: Database

    def sessions(
        self, limit: int, offset: int = 0, where: SessionFilter = ANY, *, with_texts: bool = False
    ) -> list[StoredSession]:
        """The sessions used last, newest first."""
        statement = _meeting(where, _WITH_TEXTS if with_texts else _SESSIONS)
        statement = statement.order_by(sessions.c.updated_at.desc(), sessions.c.id.desc())
        return self._read_sessions(statement.limit(limit).offset(offset))

    def count(self, where: SessionFilter = ANY) -> int:
        statement = _meeting(where, select(func.count()).select_from(sessions))
        found: int = self._database.read(lambda connection: connection.execute(statement).scalar_one())
        return found

    def describe(self, session_key: str) -> StoredSession | None:
        """That session, title and preview included; None if there is none."""
        found = self._read_sessions(_WITH_TEXTS.where(sessions.c.key == session_key))
        return found[0] if found else None

    def settings_of(self, session_key: str) -> Mapping[str, Any]:
        """What was set for the session; nothing for one that is not there."""
        named = {"of_key": session_key}
        found = self._database.read(lambda connection: connection.execute(_SETTINGS, named).scalar())
        return found or {}

    def patch(self, session_key: str, agent_id: str, changes: Mapping[str, Any]) -> StoredSession:
        """Set some settings; None clears one. The session is made if need be.

        Raises InvalidRequest: another session has the label.
        """

        def work(connection: Connection) -> None:
            found = connection.execute(_FOUND, {"of_key": session_key}).one_or_none()
            if found is None:
                connection.execute(_ADD, _new_session(session_key, agent_id))
                found = connection.execute(_FOUND, {"of_key": session_key}).one()
            session, settings, label = found
            if "label" in changes:
                label = changes["label"]
                _refuse_taken(connection, label, session_key)
            given = {**settings, **{name: value for name, value in changes.items() if name != "label"}}
            kept = {name: value for name, value in given.items() if value is not None}
            new = {"session": session, "new_settings": kept, "new_label": label, "now": _now()}
            connection.execute(_SET, new)

        self._database.write(work)
        patched = self.describe(session_key)
        assert patched is not None
        return patched

    def reset(self, session_key: str) -> bool:
        """Forget what was said, and keep the settings. A run still going on is over for the session.

        False if there is no such session.
        """

        def work(connection: Connection) -> bool:
            now = _now()
            named = {"of_key": session_key, "now": now}
            session = connection.execute(_BEGIN_ANEW, named).scalar()
            if session is None:
                return False
            connection.execute(_FORGET, {"of_session": session})
            connection.execute(_ABORT, {"of_session": session, "now": now})
            return True

        return self._database.write(work, bulky=True)

    def _read_sessions(self, statement: Select[Any]) -> list[StoredSession]:
        rows = self._database.read(lambda connection: connection.execute(statement).all())
        return [_session(row) for row in rows]


def _meeting(where: SessionFilter, statement: Select[Any]) -> Select[Any]:
    for column, wanted in (
        (sessions.c.key, where.key),
        (sessions.c.session_id, where.session_id),
        (sessions.c.agent_id, where.agent_id),
        (sessions.c.label, where.label),
    ):
        if wanted is not None:
            statement = statement.where(column == wanted)
    if where.active_since is not None:
        statement = statement.where(sessions.c.updated_at >= where.active_since)
    if where.search:
        columns = (sessions.c.key, sessions.c.label, sessions.c.session_id)
        word = where.search.lower()
        statement = statement.where(
            or_(*(func.lower(column).contains(word, autoescape=True) for column in columns))
        )
    return statement


def _session(row: Sequence[Any]) -> StoredSession:
    known, texts = row[: len(_COLUMNS)], row[len(_COLUMNS) :]
    session = StoredSession(*known)
    if not texts:
        return session
    title, preview = texts
    return replace(session, title=_line(title, TITLE), preview=_line(preview, PREVIEW))


def _line(content: str | None, most: int) -> str | None:
    """The beginning of a stored message's text, on one line."""
    text = " ".join(load_message("user", content).text.split()) if content else ""
    return (text if len(text) <= most else text[: most - 1] + "…") or None


def _refuse_taken(connection: Connection, label: str | None, session_key: str) -> None:
    if label is not None and connection.execute(_NAMED, {"name": label, "of_key": session_key}).first():
        raise InvalidRequest(f"label already in use: {label}")


def _new_session(session_key: str, agent_id: str) -> dict[str, Any]:
    now = _now()
    names = {"key": session_key, "session_id": str(uuid.uuid4()), "agent_id": agent_id}
    return {**names, "turns": 0, "created_at": now, "updated_at": now}


def _now() -> int:
    return time.time_ns() // 1_000_000
