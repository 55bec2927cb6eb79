"""Sessions that are made in several transactions, and are there for others only when they are whole.

One transaction with a hundred thousand messages would keep all other writes waiting for seconds. So a copy is
built in a hidden session of its own, which gets its key at the end. What a dead worker leaves of one is
deleted with other hidden sessions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from sqlalchemy import Connection, bindparam, false, select
from sqlalchemy.exc import IntegrityError

from app.clock import now_ms
from app.errors import SessionConflict, StorageUnavailable
from app.ids import new_hex, new_uuid
from app.sessions.index import with_label
from app.sessions.portable import NewSession
from app.storage.base import Database, nothing_settled
from app.storage.tables import messages, runs, sessions

_CONVERSATION = (
    select(messages.c.id)
    .where(messages.c.session == bindparam("session"), messages.c.replaced_by.is_(None))
    .limit(1)
)
_UNENDED = select(runs.c.id).where(runs.c.session == bindparam("session"), runs.c.state == "running").limit(1)
_TAKE = (
    sessions.update()
    .where(sessions.c.key == bindparam("of_key"))
    .values(run_count=sessions.c.run_count + bindparam("more"), updated_at=bindparam("now"))
    .returning(sessions.c.id, sessions.c.run_count)
)
_BUILT = sessions.c.id == bindparam("built")
_PUBLISHED = select(sessions.c.id).where(_BUILT, sessions.c.hidden.is_(false()))
_DISCARD = sessions.delete().where(_BUILT)

# Stores a part in the session of that number; how many messages. It may be asked to do it again.
Piece = Callable[[Connection, int], int]


class SessionBuilder:
    """Builds sessions. All methods raise StorageUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def build(self, new: NewSession, run_count: int, pieces: Iterable[Piece], expected: int) -> int:
        """Store the pieces, and give the session its key if they had `expected` messages together.

        A session of that key that has no conversation takes it over. Raises SessionConflict.
        """
        built = self._begin(new, run_count)
        try:
            stored = sum(self._store(piece, built) for piece in pieces)
            if stored == expected:
                self._publish(built, new, run_count)
        except BaseException:
            self._discard(built)
            raise
        if stored != expected:
            self._discard(built)
            raise SessionConflict("The session was changed while it was copied: try again.")
        return stored

    def _discard(self, built: int) -> None:
        named = {"built": built}
        with suppress(StorageUnavailable):
            self._database.write(lambda connection: connection.execute(_DISCARD, named), bulky=True)

    def _begin(self, new: NewSession, run_count: int) -> int:
        now = now_ms()
        row = {
            "key": f"copy:{new_hex()}",
            "session_id": new_uuid(),
            "agent_id": new.agent_id,
            "run_count": run_count,
            "created_at": now if new.created_at is None else new.created_at,
            "updated_at": now,
            "settings": dict(new.settings),
            "hidden": True,
        }
        added = sessions.insert().values(row).returning(sessions.c.id)
        number: int = self._database.write(lambda connection: connection.execute(added).scalar_one())
        return number

    def _store(self, piece: Piece, built: int) -> int:
        def work(connection: Connection) -> int:
            return piece(connection, built)

        return self._database.write(work, bulky=True, patient=True, settled=nothing_settled)

    def _publish(self, built: int, new: NewSession, run_count: int) -> None:
        named = {"of_key": new.key, "more": run_count}

        def work(connection: Connection) -> bool:
            found = connection.execute(_TAKE, {**named, "now": now_ms()}).one_or_none()  # its row is ours now
            if found is None:
                given = {"key": new.key, "hidden": False, "updated_at": now_ms()}
                _set(connection, built, {**given, "label": _free_label(connection, new)})
            else:
                _move(connection, built, found[0], found[1] - run_count, new)
            return True

        def settled(connection: Connection) -> bool | None:
            return True if connection.execute(_PUBLISHED, {"built": built}).first() else None

        try:
            self._database.write(work, bulky=True, patient=True, settled=settled)
        except IntegrityError as error:
            raise _taken(new.key) from error


def _move(connection: Connection, built: int, session: int, behind: int, new: NewSession) -> None:
    """Give what was built to a session that has no conversation. Raises SessionConflict."""
    named = {"session": session}
    if any(connection.execute(one, named).first() for one in (_CONVERSATION, _UNENDED)):
        raise _taken(new.key)
    for table in (runs, messages):
        moved = {table.c.session: session, table.c.run_number: table.c.run_number + behind}
        connection.execute(table.update().where(table.c.session == built).values(moved))
    connection.execute(_DISCARD, {"built": built})
    given: dict[str, Any] = {"settings": dict(new.settings)} if new.settings else {}
    if (label := _free_label(connection, new)) is not None:
        given["label"] = label
    if given:
        _set(connection, session, given)


def _set(connection: Connection, session: int, values: dict[str, Any]) -> None:
    connection.execute(sessions.update().where(sessions.c.id == session).values(values))


def _free_label(connection: Connection, new: NewSession) -> str | None:
    return next((one for one in new.labels if not with_label(connection, one, new.key)), None)


def _taken(key: str) -> SessionConflict:
    return SessionConflict(
        f"The session {key} has a conversation: reset or delete it first, or import under another key."
    )
