"""A `SessionFilter` as SQL."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, false, func, or_

from app.sessions.keys import space_name
from app.sessions.rows import SPAWNED_BY, SessionFilter
from app.sessions.statements import SPACE
from app.storage.tables import sessions


def filtered(where: SessionFilter, statement: Select[Any]) -> Select[Any]:
    """`statement` for those sessions alone that meet the conditions."""
    statement = statement.where(sessions.c.hidden.is_(false()))
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
    if where.owner is not None:
        statement = statement.where(SPACE.in_([space_name(where.owner)]))
    if where.space is not None:
        statement = statement.where(SPACE.in_([where.space]))
    if where.spawned_by is not None:
        statement = statement.where(sessions.c.settings[SPAWNED_BY].as_string() == where.spawned_by)
    if where.is_spawned:
        statement = statement.where(sessions.c.settings[SPAWNED_BY].as_string().is_not(None))
    if where.keys is not None:
        statement = statement.where(sessions.c.key.in_(where.keys))
    if where.search:
        columns = (sessions.c.key, sessions.c.label, sessions.c.session_id)
        word = where.search.lower()
        statement = statement.where(
            or_(*(func.lower(column).contains(word, autoescape=True) for column in columns))
        )
    return statement
