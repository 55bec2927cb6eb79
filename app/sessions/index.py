"""The sessions there are: found, shown, named, set, reset, deleted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import JSON, ColumnElement, Connection, Select, bindparam, case, func, select

from app.clock import now_ms
from app.errors import InvalidRequest
from app.ids import new_uuid
from app.messages import Role
from app.sessions.filters import filtered
from app.sessions.keys import space_of
from app.sessions.rows import ANY, SessionFilter, StoredSession
from app.storage.base import Database, nothing_settled
from app.storage.columns import stored_size
from app.storage.message_json import load_message
from app.storage.tables import messages, runs, sessions

MAX_TITLE = 60  # characters
MAX_PREVIEW = 120  # characters
MAX_READ = 64 * 1024  # characters; a longer message, mostly a picture, is not read for a title or preview
RESET = "reset"  # in the place of a run's id: what replaced the messages of a session that was reset

# The newest ended run of a session whose usage is known.
_metered = runs.alias("metered")
_candidate = runs.alias("candidate")
_NEWEST_METERED = (
    select(_candidate.c.id)
    .where(
        _candidate.c.session == sessions.c.id,
        _candidate.c.prompt_tokens.is_not(None),
        _candidate.c.state != "running",  # of such a run only the steps so far are known
    )
    .order_by(_candidate.c.run_number.desc())
    .limit(1)
    .correlate(sessions)
    .scalar_subquery()
)
_COLUMNS = (
    sessions.c.key,
    sessions.c.session_id,
    sessions.c.agent_id,
    sessions.c.label,
    sessions.c.run_count,
    sessions.c.created_at,
    sessions.c.updated_at,
    sessions.c.revision,
    sessions.c.settings,
    _metered.c.model,
    _metered.c.prompt_tokens,
    _metered.c.completion_tokens,
)
_SESSIONS = select(*_COLUMNS).select_from(sessions.outerjoin(_metered, _metered.c.id == _NEWEST_METERED))


def _text(*roles: Role, last: bool) -> ColumnElement[Any]:
    """The content of a session's first or last message of these roles; NULL if it is too long.

    An agent's steps to an answer do not count.
    """
    one = messages.alias()
    order = (one.c.run_number.desc(), one.c.position.desc()) if last else (one.c.run_number, one.c.position)
    return (
        select(case((stored_size(one.c.content) <= MAX_READ, one.c.content)))
        .where(
            one.c.session == sessions.c.id,
            one.c.role.in_(roles),
            one.c.replaced_by.is_(None),
            one.c.state != "step",
        )
        .order_by(*order)
        .limit(1)
        .correlate(sessions)
        .scalar_subquery()
    )


WITH_TEXTS = _SESSIONS.add_columns(_text("user", last=False), _text("user", "assistant", last=True))

_FOUND = (
    select(sessions.c.id, sessions.c.settings, sessions.c.label)
    .where(sessions.c.key == bindparam("of_key"))
    .with_for_update()
)
_WITH_LABEL = select(sessions.c.key).where(
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
_COUNT_RESET = (
    sessions.update()
    .where(sessions.c.key == bindparam("of_key"))
    .values(revision=sessions.c.revision + 1, updated_at=bindparam("now"))
    .returning(sessions.c.id)
)
_HIDE_MESSAGES = (
    messages.update()
    .where(messages.c.session == bindparam("of_session"), messages.c.replaced_by.is_(None))
    .values(replaced_by=RESET)
)
# Before the session's own row is changed: the end of a run changes the two in this order, too, and waits for
# nobody who waits for it.
_ABORT_RUNS = (
    runs.update()
    .where(
        runs.c.session.in_(select(sessions.c.id).where(sessions.c.key == bindparam("of_key"))),
        runs.c.state == "running",
    )
    .values(state="aborted", ended_at=bindparam("now"), error_code="run_aborted")
)
_DELETE = sessions.delete().where(sessions.c.key == bindparam("of_key"))


class SqlSessionIndex:
    """Implements `SessionIndex`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def sessions(
        self, limit: int, offset: int = 0, where: SessionFilter = ANY, *, with_texts: bool = False
    ) -> list[StoredSession]:
        """The sessions used last, newest first; with title and preview only if `with_texts`."""
        statement = filtered(where, WITH_TEXTS if with_texts else _SESSIONS)
        statement = statement.order_by(sessions.c.updated_at.desc(), sessions.c.id.desc())
        return self._read_sessions(statement.limit(limit).offset(offset), with_texts=with_texts)

    def count(self, where: SessionFilter = ANY) -> int:
        """How many sessions meet the conditions."""
        statement = filtered(where, select(func.count()).select_from(sessions))
        found: int = self._database.read(lambda connection: connection.execute(statement).scalar_one())
        return found

    def describe(self, session_key: str) -> StoredSession | None:
        """That session, title and preview included; None if there is none."""
        found = self._read_sessions(WITH_TEXTS.where(sessions.c.key == session_key), with_texts=True)
        return found[0] if found else None

    def patch(self, session_key: str, agent_id: str, changes: Mapping[str, Any]) -> StoredSession:
        """Set some settings, and the label if it is among them; None clears one. Makes a missing session.

        Raises InvalidRequest: another session of the same owner has the label.
        """

        def work(connection: Connection) -> None:
            found = connection.execute(_FOUND, {"of_key": session_key}).one_or_none()
            if found is None:
                connection.execute(_ADD, _new_session(session_key, agent_id))
                found = connection.execute(_FOUND, {"of_key": session_key}).one()
            session, settings, label = found
            if "label" in changes:
                label = changes["label"]
                _refuse_taken_label(connection, label, session_key)
            given = {**settings, **{name: value for name, value in changes.items() if name != "label"}}
            kept = {name: value for name, value in given.items() if value is not None}
            new = {"session": session, "new_settings": kept, "new_label": label, "now": now_ms()}
            connection.execute(_SET, new)

        label = changes.get("label")
        # No two workers look at the same moment whether a label is free.
        alone = None if label is None else f"label: {label}"
        self._database.write(work, alone=alone, settled=nothing_settled)
        patched = self.describe(session_key)
        assert patched is not None
        return patched

    def reset(self, session_key: str) -> bool:
        """Empty the conversation and keep the settings. A run still going on stores nothing more in it.

        False if there is no such session.
        """

        def work(connection: Connection) -> bool:
            named = {"of_key": session_key, "now": now_ms()}
            connection.execute(_ABORT_RUNS, named)
            session = connection.execute(_COUNT_RESET, named).scalar()
            if session is None:
                return False
            connection.execute(
                _ABORT_RUNS, named
            )  # those that were accepted meanwhile, until the row was locked
            connection.execute(_HIDE_MESSAGES, {"of_session": session})
            return True

        return self._database.write(work, bulky=True)

    def delete(self, session_key: str) -> bool:
        """Delete a session with its runs and messages. False if there was none."""

        def work(connection: Connection) -> bool:
            connection.execute(_ABORT_RUNS, {"of_key": session_key, "now": now_ms()})
            return connection.execute(_DELETE, {"of_key": session_key}).rowcount > 0

        return self._database.write(work, bulky=True)

    def _read_sessions(self, statement: Select[Any], *, with_texts: bool) -> list[StoredSession]:
        # The first message of a session may stand behind a hundred thousand that were replaced.
        read = self._database.scan if with_texts else self._database.read
        rows = read(lambda connection: connection.execute(statement).all())
        return [load_session(row) for row in rows]


def load_session(row: Sequence[Any]) -> StoredSession:
    known, texts = row[: len(_COLUMNS)], row[len(_COLUMNS) :]
    session = StoredSession(*known)
    if not texts:
        return session
    title, preview = texts
    return replace(session, title=_line(title, MAX_TITLE), preview=_line(preview, MAX_PREVIEW))


def _line(content: str | None, most: int) -> str | None:
    """The first `most` characters of a stored message's text, on one line; None for no text."""
    text = " ".join(load_message("user", content).text.split()) if content else ""
    return (text if len(text) <= most else text[: most - 1] + "…") or None


def _refuse_taken_label(connection: Connection, label: str | None, session_key: str) -> None:
    if label is None:
        return
    if with_label(connection, label, session_key):
        raise InvalidRequest(f"label already in use: {label}")


def with_label(connection: Connection, label: str, session_key: str) -> bool:
    """Whether another session of the same owner has the label."""
    others = connection.execute(_WITH_LABEL, {"name": label, "of_key": session_key}).scalars()
    return any(space_of(other) == space_of(session_key) for other in others)


def _new_session(session_key: str, agent_id: str) -> dict[str, Any]:
    now = now_ms()
    names = {"key": session_key, "session_id": new_uuid(), "agent_id": agent_id}
    return {**names, "run_count": 0, "created_at": now, "updated_at": now}
