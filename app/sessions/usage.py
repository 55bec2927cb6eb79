"""What runs have used, added up from the table of runs. Runs that are not stored are not in it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, bindparam, case, func, select

from app.sessions.rows import INJECTED, RunUsage, SaidRow, UsageRow
from app.storage.sqlite.database import Database
from app.storage.tables import messages, runs, sessions

DAY = 86_400_000  # milliseconds


def _day(moment: ColumnElement[Any]) -> ColumnElement[Any]:
    return (moment + bindparam("offset")) // DAY


def _between(moment: ColumnElement[Any]) -> ColumnElement[bool]:
    return moment.between(bindparam("first"), bindparam("last"))


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
        func.coalesce(func.sum(runs.c.prompt_tokens), 0),
        func.coalesce(func.sum(runs.c.completion_tokens), 0),
        func.min(runs.c.started_at),
        func.max(func.coalesce(runs.c.ended_at, runs.c.started_at)),
    )
    .join(sessions, sessions.c.id == runs.c.session)
    .where(_between(runs.c.started_at), runs.c.source != INJECTED)
    .group_by(sessions.c.id, runs.c.model, "day")
    .order_by("day", sessions.c.id)
)
_SAID = (
    select(sessions.c.key, messages.c.role, _day(messages.c.created_at).label("day"), func.count())
    .join(sessions, sessions.c.id == messages.c.session)
    .where(_between(messages.c.created_at), messages.c.replaced_by.is_(None))
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
    .where(sessions.c.key == bindparam("of_key"), runs.c.prompt_tokens.is_not(None))
    .order_by(runs.c.turn.desc())
    .limit(bindparam("most"))
)


class UsageLedger:
    """Each operation is one transaction. All raise `StorageUnavailable`."""

    _database: Database

    def usage(self, first: int, last: int, offset: int = 0) -> list[UsageRow]:
        """What was used by the runs that started between two moments, both in milliseconds since 1970.

        `offset` is how many milliseconds the days are ahead of UTC's.
        """
        names = {"first": first, "last": last, "offset": offset}
        rows = self._database.read(lambda connection: connection.execute(_USAGE, names).all())
        return [UsageRow(*row) for row in rows]

    def said(self, first: int, last: int, offset: int = 0) -> list[SaidRow]:
        """How much was said between two moments; see `usage`."""
        names = {"first": first, "last": last, "offset": offset}
        rows = self._database.read(lambda connection: connection.execute(_SAID, names).all())
        return [SaidRow(*row) for row in rows]

    def timeline(self, session_key: str, limit: int) -> list[RunUsage]:
        """The session's newest runs whose usage is known, oldest first."""
        names = {"of_key": session_key, "most": limit}
        rows = self._database.read(lambda connection: connection.execute(_TIMELINE, names).all())
        return [RunUsage(*row) for row in rows][::-1]
