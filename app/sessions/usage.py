"""What stored runs have used, added up from the table of runs. Stateless runs are not stored: not in it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, ColumnElement, bindparam, case, cast, false, func, select

from app.sessions.rows import NOT_ASKED_FOR, MessageCount, RunUsage, UsageRow
from app.storage.base import Database
from app.storage.tables import messages, runs, sessions

DAY = 86_400_000  # milliseconds


def _day(moment: ColumnElement[Any]) -> ColumnElement[Any]:
    return (moment + bindparam("offset")) // DAY


def _between(moment: ColumnElement[Any]) -> ColumnElement[bool]:
    return moment.between(bindparam("first"), bindparam("last"))


def _total(numbers: ColumnElement[Any]) -> ColumnElement[int]:
    # The sum of 64-bit numbers is a decimal fraction in PostgreSQL.
    return cast(func.coalesce(func.sum(numbers), 0), BigInteger)


_USAGE = (
    select(
        sessions.c.key,
        sessions.c.session_id,
        sessions.c.agent_id,
        sessions.c.label,
        runs.c.model,
        _day(runs.c.started_at).label("day"),
        func.count(),
        func.sum(case((runs.c.state.in_(("failed", "interrupted")), 1), else_=0)),
        _total(runs.c.prompt_tokens),
        _total(runs.c.completion_tokens),
        func.min(runs.c.started_at),
        func.max(func.coalesce(runs.c.ended_at, runs.c.started_at)),
    )
    .join(sessions, sessions.c.id == runs.c.session)
    .where(_between(runs.c.started_at), runs.c.source.not_in(NOT_ASKED_FOR), sessions.c.hidden.is_(false()))
    .group_by(sessions.c.id, runs.c.model, "day")
    .order_by("day", sessions.c.id, func.min(runs.c.started_at), func.count())
)
_MESSAGE_COUNTS = (
    select(sessions.c.key, messages.c.role, _day(messages.c.created_at).label("day"), func.count())
    .join(sessions, sessions.c.id == messages.c.session)
    .where(_between(messages.c.created_at), messages.c.replaced_by.is_(None), sessions.c.hidden.is_(false()))
    .group_by(sessions.c.id, messages.c.role, "day")
)
_TIMELINE = (
    select(
        runs.c.id,
        func.coalesce(runs.c.ended_at, runs.c.started_at),
        runs.c.model,
        func.coalesce(runs.c.prompt_tokens, 0),
        func.coalesce(runs.c.completion_tokens, 0),
    )
    .join(sessions, sessions.c.id == runs.c.session)
    .where(
        sessions.c.key == bindparam("of_key"),
        runs.c.prompt_tokens.is_not(None),
        runs.c.source.not_in(NOT_ASKED_FOR),
    )
    .order_by(runs.c.run_number.desc())
    .limit(bindparam("most"))
)


class SqlUsageReader:
    """Implements `UsageReader`. Times are milliseconds since 1970."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def totals(self, first: int, last: int, offset: int = 0) -> list[UsageRow]:
        """The runs that started from `first` to `last`, added up by session, model and day.

        Days begin `offset` milliseconds before those of UTC.
        """
        names = {"first": first, "last": last, "offset": offset}
        rows = self._database.read(lambda connection: connection.execute(_USAGE, names).all())
        return [UsageRow(*row) for row in rows]

    def message_counts(self, first: int, last: int, offset: int = 0) -> list[MessageCount]:
        """The messages stored from `first` to `last`, counted by session, role and day; `offset` as above."""
        names = {"first": first, "last": last, "offset": offset}
        rows = self._database.read(lambda connection: connection.execute(_MESSAGE_COUNTS, names).all())
        return [MessageCount(*row) for row in rows]

    def timeline(self, session_key: str, limit: int) -> list[RunUsage]:
        """The session's newest runs whose usage is known, oldest first."""
        names = {"of_key": session_key, "most": limit}
        rows = self._database.read(lambda connection: connection.execute(_TIMELINE, names).all())
        return [RunUsage(*row) for row in rows][::-1]
