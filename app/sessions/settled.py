"""Whether a run's write is stored whose connection broke at the end of the transaction (`Database.write`).

The transaction that broke may still be about to end: each of these first waits for the lock that it holds,
and then looks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from sqlalchemy import Connection, bindparam, select

from app.sessions.stored import AcceptedRun
from app.storage.tables import messages, runs, sessions

_LOCK_SESSION = select(sessions.c.id).where(sessions.c.key == bindparam("of_key")).with_for_update()
_LOCK_RUN = select(runs.c.id).where(runs.c.id == bindparam("run")).with_for_update()
_ACCEPTED = select(runs.c.run_number, runs.c.fence).where(
    runs.c.id == bindparam("run"),
    runs.c.worker == bindparam("of_worker"),
    runs.c.started_at == bindparam("now"),
)
_ENDED = select(runs.c.id).where(
    runs.c.id == bindparam("run"),
    runs.c.worker == bindparam("own_worker"),
    runs.c.fence == bindparam("own_fence"),
    runs.c.state == bindparam("new_state"),
    runs.c.ended_at == bindparam("new_ended_at"),
)
_LAST_MESSAGE = (
    select(messages.c.role, messages.c.content, messages.c.created_at)
    .where(messages.c.run_id == bindparam("run"))
    .order_by(messages.c.position.desc())
    .limit(1)
)


def accepted(
    session_key: str, run_id: str, worker: str, now: int
) -> Callable[[Connection], AcceptedRun | None]:
    """The run, if this worker has accepted it at that time."""

    def look(connection: Connection) -> AcceptedRun | None:
        connection.execute(_LOCK_SESSION, {"of_key": session_key})
        names = {"run": run_id, "of_worker": worker, "now": now}
        found = connection.execute(_ACCEPTED, names).one_or_none()
        if found is None:
            return None
        # Who was before it, and what it goes on behind, is asked again.
        return AcceptedRun(*found, before=1, has_begun=False, has_steps=True)

    return look


def ended(end: Mapping[str, Any]) -> Callable[[Connection], Literal[True] | None]:
    """Whether the run has ended in this very way: the values of `statements.END_RUN`."""

    def look(connection: Connection) -> Literal[True] | None:
        connection.execute(_LOCK_RUN, {"run": end["run"]})
        return True if connection.execute(_ENDED, end).one_or_none() is not None else None

    return look


def appended(run_id: str, last: Mapping[str, Any]) -> Callable[[Connection], Literal[True] | None]:
    """Whether this message is the run's newest: the last one of those that are stored together."""

    def look(connection: Connection) -> Literal[True] | None:
        connection.execute(_LOCK_RUN, {"run": run_id})
        found = connection.execute(_LAST_MESSAGE, {"run": run_id}).one_or_none()
        wanted = (last["role"], last["content"], last["created_at"])
        return True if found is not None and tuple(found) == wanted else None

    return look
