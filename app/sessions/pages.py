"""Sessions and their messages page by page, for readers who come back, and what goes on in sessions.

A page begins behind a place, not behind a number of rows: whatever is added or removed in between, nothing
comes twice and nothing in between is left out. All of it is read where it may take its time: a session may
have a hundred thousand messages.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    bindparam,
    exists,
    func,
    literal_column,
    or_,
    select,
)

from app.errors import NotFound
from app.messages import ToolCall
from app.sessions.browsing import MAX_PAGE
from app.sessions.filters import filtered
from app.sessions.index import WITH_TEXTS, load_session
from app.sessions.places import find_place, newer, older
from app.sessions.rows import (
    ANY,
    ListedSession,
    MessagePage,
    OpenCall,
    SessionFilter,
    SessionPlace,
    TranscriptRow,
    UnendedRun,
)
from app.sessions.transcripts import ROW_COLUMNS, load_row
from app.storage.base import Database
from app.storage.message_json import load_message
from app.storage.tables import messages, runs, sessions

_MESSAGES = (
    select(func.count())
    .select_from(messages)
    .where(messages.c.session == sessions.c.id, messages.c.replaced_by.is_(None))
    .correlate(sessions)
    .scalar_subquery()
)
_LISTED = WITH_TEXTS.add_columns(_MESSAGES, sessions.c.id)

_SHOWN = (sessions.c.key == bindparam("of_key"), messages.c.replaced_by.is_(None))
_ROWS = (
    select(*ROW_COLUMNS)
    .join(sessions, sessions.c.id == messages.c.session)
    .join(runs, runs.c.id == messages.c.run_id)
    .where(*_SHOWN)
)
_AT = select(messages.c.id).join(sessions, sessions.c.id == messages.c.session).where(*_SHOWN)
_ORDER = (messages.c.run_number, messages.c.position)
_NEWEST_FIRST = (messages.c.run_number.desc(), messages.c.position.desc())
_NEWEST_RUN = (
    select(runs.c.id)
    .join(sessions, sessions.c.id == runs.c.session)
    .where(sessions.c.key == bindparam("of_key"))
    .order_by(runs.c.run_number.desc())
    .limit(1)
)
# The state is written out, so that the index of running runs is used: a session may have very many others.
_UNENDED = (
    select(sessions.c.key, runs.c.id, runs.c.started_at, runs.c.dequeued_at)
    .join(sessions, sessions.c.id == runs.c.session)
    .where(runs.c.state == literal_column("'running'"))
    .order_by(runs.c.session, runs.c.run_number)
)
_STEPS = (
    select(messages.c.role, messages.c.content, messages.c.created_at)
    .where(messages.c.run_id == bindparam("run"), messages.c.state == "step")
    .order_by(messages.c.position.desc())
)


class SqlSessionPages:
    """Implements `SessionPages`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def sessions(
        self, limit: int, after: SessionPlace | None = None, where: SessionFilter = ANY
    ) -> list[ListedSession]:
        """The sessions used last, newest first; those behind the place `after`, if one is given."""
        statement = filtered(where, _LISTED)
        if after is not None:
            statement = statement.where(_behind(after))
        statement = statement.order_by(sessions.c.updated_at.desc(), sessions.c.id.desc()).limit(limit)
        return self._database.scan(
            lambda connection: [_listed(row) for row in connection.execute(statement).all()]
        )

    def messages(
        self,
        session_key: str,
        limit: int,
        before: str | None = None,
        after: str | None = None,
        max_size: int = MAX_PAGE,
    ) -> MessagePage:
        """The newest messages, or those next to the message of that id on one side.

        Fewer if their stored contents have more than `max_size` characters, but at least one. Raises
        NotFound: the session has no such message.
        """
        border = before if after is None else after
        named, page = {"of_key": session_key}, _Page(session_key, limit, max_size)

        def work(connection: Connection) -> MessagePage:
            place = None if border is None else _find_place(connection, session_key, border)
            if place is not None and after is not None:
                rows, more = _read(connection, _ROWS.where(newer(place)).order_by(*_ORDER), page)
                return MessagePage(rows, _has(connection, _AT.where(~newer(place)), named), more)
            newest = _ROWS.order_by(*_NEWEST_FIRST)
            rows, more = _read(connection, newest if place is None else newest.where(older(place)), page)
            has_newer = place is not None and _has(connection, _AT.where(~older(place)), named)
            return MessagePage(rows[::-1], more, has_newer)

        return self._database.scan(work)

    def unended(self, session_keys: Collection[str]) -> list[UnendedRun]:
        """The runs of these sessions that have not ended, each session's in the order of its queue."""

        def work(connection: Connection) -> list[UnendedRun]:
            return [UnendedRun(*row) for row in connection.execute(_UNENDED) if row.key in session_keys]

        return self._database.scan(work)

    def open_calls(self, run_ids: Sequence[str]) -> list[OpenCall]:
        """The calls of these runs' own tools that have no result yet, in the order they were made."""

        def work(connection: Connection) -> list[OpenCall]:
            return [one for run_id in run_ids for one in _open_calls(connection, run_id)]

        return self._database.scan(work) if run_ids else []

    def newest_run(self, session_key: str) -> str | None:
        """The id of the session's newest run."""
        named = {"of_key": session_key}
        found: str | None = self._database.scan(
            lambda connection: connection.execute(_NEWEST_RUN, named).scalar()
        )
        return found


class _Page(NamedTuple):
    session_key: str
    limit: int
    max_size: int


def _read(connection: Connection, statement: Select[Any], page: _Page) -> tuple[list[TranscriptRow], bool]:
    """As many of the messages as the page takes, and whether there are more."""
    rows: list[TranscriptRow] = []
    size = 0
    names = {"of_key": page.session_key}
    with connection.execute(statement.limit(page.limit + 1), names) as found:
        for row in found:  # one by one: all could be gigabytes
            size += len(row.content)
            if len(rows) == page.limit or (rows and size > page.max_size):
                return rows, True
            rows.append(load_row(0, *row))
    return rows, False


def _listed(row: Sequence[Any]) -> ListedSession:
    *known, count, number = row
    session = load_session(known)
    return ListedSession(session, count, SessionPlace(session.updated_at, number))


def _behind(place: SessionPlace) -> ColumnElement[bool]:
    """Whether a session comes after that place. The first condition is one that an index can answer."""
    at, number = place
    return and_(sessions.c.updated_at <= at, or_(sessions.c.updated_at < at, sessions.c.id < number))


def _find_place(connection: Connection, session_key: str, message_id: str) -> tuple[int, int]:
    place = find_place(connection, session_key, message_id)
    if place is None:
        raise NotFound(f"The session has no message {message_id[:80]!r}.")
    return place


def _has(connection: Connection, statement: Select[Any], values: dict[str, Any]) -> bool:
    return bool(connection.execute(select(exists(statement)), values).scalar_one())


def _open_calls(connection: Connection, run_id: str) -> list[OpenCall]:
    """What the newest step with calls in it still waits for: a result stands behind its call."""
    answered: set[str | None] = set()
    with connection.execute(_STEPS, {"run": run_id}) as steps:
        for role, content, created_at in steps:
            message = load_message(role, content)
            if message.tool_calls:
                return _without(message.tool_calls, answered, run_id, created_at)
            answered.add(message.tool_call_id)
    return []


def _without(
    calls: Iterable[ToolCall], answered: set[str | None], run_id: str, called_at: int
) -> list[OpenCall]:
    return [OpenCall(run_id, one.id, one.name, called_at) for one in calls if one.id not in answered]
