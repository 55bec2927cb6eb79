"""Copies stored sessions from one database to another, whichever kinds they are.

Each session is one transaction: it is there whole, with its runs and messages, or not at all. So a copy that
was stopped goes on where it ended: what is there already is left alone. A session that differs on the two
sides is never overwritten, it is told. However long a session is, a few of its messages are in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import Connection, Table, bindparam, func, insert, select
from sqlalchemy.exc import IntegrityError

from app.storage.base import STREAMED, Database, PreparedStatement
from app.storage.tables import approvals, documents, idempotency_keys, messages, runs, sessions

PAGE = 200  # rows that are looked at together

CHANGED = "differs from the one there: it was used since it was copied. Delete it there to copy it again"
RUNNING = "has a run going on. Stop the gateway, and copy again"
TAKEN = "has a run whose id another session has there"

_BY_ID = select(sessions).where(sessions.c.id > bindparam("after")).order_by(sessions.c.id).limit(PAGE)
_RUNS_OF = select(func.count(), func.count().filter(runs.c.state == "running")).where(
    runs.c.session == bindparam("of_session")
)
_MESSAGES_OF = select(func.count()).where(messages.c.session == bindparam("of_session"))
_THERE = select(sessions).where(sessions.c.key == bindparam("of_key"))
_ROW = select(sessions).where(sessions.c.id == bindparam("of_session"))
_SAME = ("session_id", "run_count", "revision", "updated_at", "agent_id")


class Content(NamedTuple):
    """How much a session has."""

    runs: int
    running: int
    messages: int


@dataclass(slots=True)
class Copied:
    """What a copy has done so far. `left` are keys of sessions that were not copied, and why."""

    total: int = 0
    sessions: int = 0
    present: int = 0
    runs: int = 0
    messages: int = 0
    approvals: int = 0
    left: list[tuple[str, str]] = field(default_factory=list)

    @property
    def seen(self) -> int:
        """How many sessions were looked at."""
        return self.sessions + self.present + len(self.left)


def conflicts(source: Database, target: Database) -> list[str]:
    """Keys under which the target has another conversation than the source."""
    found: list[str] = []
    for page in _pages(source):
        ids = {row.key: row.session_id for row in page}
        there = select(sessions.c.key, sessions.c.session_id).where(sessions.c.key.in_(ids))
        rows = target.read(lambda connection, there=there: connection.execute(there).all())  # type: ignore[misc]
        found += [key for key, session_id in rows if ids[key] != session_id]
    return found


class SessionCopy:
    """A copy from `source` to `target`. `progress` is called after each session."""

    def __init__(
        self, source: Database, target: Database, progress: Callable[[Copied], object] = lambda _: None
    ) -> None:
        self._source = source
        self._target = target
        self._progress = progress
        self._add_message = target.prepare(_insert_of(messages))
        self._add_new_message = target.prepare(_insert_of(messages, but="id"))
        self.copied = Copied()

    def run(self) -> Copied:
        """Copy all that is not there. Raises StorageUnavailable; a later call goes on."""
        count = select(func.count()).select_from(sessions)
        self.copied.total = self._source.read(lambda connection: connection.execute(count).scalar_one())
        self._reserve_ids()
        for page in _pages(self._source):
            for row in page:
                self._copy(row)
                self._progress(self.copied)
        self._copy_rest(approvals, approvals.c.state != "pending")
        self._copy_rest(idempotency_keys)
        self._copy_rest(documents)
        return self.copied

    def _reserve_ids(self) -> None:
        """Messages keep their numbers, by which clients know them: nobody may be given those meanwhile."""
        highest = select(func.coalesce(func.max(messages.c.id), 0))
        most = self._source.read(lambda connection: connection.execute(highest).scalar_one())

        def work(connection: Connection) -> None:
            if connection.dialect.name == "postgresql":
                sequence = func.pg_get_serial_sequence("messages", "id")
                connection.execute(select(func.setval(sequence, func.greatest(most, func.nextval(sequence)))))

        self._target.write(work, settled=lambda _: None)

    def _copy(self, row: Any) -> None:
        content = self._source.read(lambda connection: _content(connection, row.id))
        if content.running:
            self.copied.left.append((row.key, RUNNING))
            return
        there, its_content = self._target.read(lambda connection: _there(connection, row.key))
        if there is not None:
            is_same = its_content == content and all(
                getattr(there, name) == getattr(row, name) for name in _SAME
            )
            if is_same:
                self.copied.present += 1
            else:
                self.copied.left.append((row.key, CHANGED))
            return
        try:
            self._store(row, content)
        except _Changed:
            self.copied.left.append((row.key, RUNNING))
        except IntegrityError:
            self.copied.left.append((row.key, TAKEN))
        else:
            self.copied.sessions += 1
            self.copied.runs += content.runs
            self.copied.messages += content.messages

    def _store(self, row: Any, content: Content) -> None:
        try:
            self._write(row, content, self._add_message)
        except IntegrityError:  # the target has used the numbers itself
            self._write(row, content, self._add_new_message)

    def _write(self, row: Any, content: Content, add_message: PreparedStatement) -> None:
        def work(connection: Connection) -> None:
            values = {name: value for name, value in _values(sessions, row).items() if name != "id"}
            session = connection.execute(insert(sessions).returning(sessions.c.id), values).scalar_one()
            for page in _streamed(self._source, runs, runs.c.session == row.id, runs.c.id):
                connection.execute(insert(runs), [{**one, "session": session} for one in page])
            for page in _streamed(self._source, messages, messages.c.session == row.id, messages.c.id):
                for one in page:
                    add_message.all(connection, {**one, "session": session})
            if self._source.read(lambda source: _is_same(source, row, content)):
                return
            raise _Changed

        def is_stored(connection: Connection) -> bool | None:
            return True if connection.execute(_THERE, {"of_key": row.key}).first() else None

        self._target.write(work, bulky=True, patient=True, settled=is_stored)

    def _copy_rest(self, table: Table, *conditions: Any) -> None:
        """Rows of a table without sessions, as far as the target has no row of that name or id."""
        (key,) = table.primary_key.columns
        for page in _streamed(self._source, table, *conditions, key):
            there = select(key).where(key.in_([one[key.key] for one in page]))

            def work(connection: Connection, page: Sequence[Any] = page, there: Any = there) -> int:
                known = set(connection.execute(there).scalars())
                new = [one for one in page if one[key.key] not in known]
                if new:
                    connection.execute(insert(table), new)
                return len(new)

            added = self._target.write(work, bulky=True, settled=lambda _: None)
            if table is approvals:
                self.copied.approvals += added


class _Changed(Exception):
    """Somebody has used the session while it was copied."""


def _pages(source: Database) -> Iterator[Sequence[Any]]:
    """All sessions, in the order in which they were made."""
    after = 0
    while True:
        place = {"after": after}
        page = source.read(lambda connection, place=place: connection.execute(_BY_ID, place).all())  # type: ignore[misc]
        if not page:
            return
        yield page
        after = page[-1].id


def _streamed(source: Database, table: Table, *conditions: Any) -> Iterator[list[dict[str, Any]]]:
    """The rows in the order of a column, the last of `conditions`, a few at a time: they may be large."""
    *where, order = conditions
    after: Any = None
    while True:
        statement = select(table).where(*where).order_by(order)
        if after is not None:
            statement = statement.where(order > after)

        def read(connection: Connection, statement: Any = statement) -> list[dict[str, Any]]:
            page, size = [], 0
            with connection.execute(statement.limit(PAGE), execution_options=STREAMED) as rows:
                for row in rows:
                    page.append(_values(table, row))
                    size += sum(len(value) for value in page[-1].values() if isinstance(value, str))
                    if size > 1024 * 1024:
                        break
            return page

        page = source.read(read)
        if not page:
            return
        yield page
        after = page[-1][order.key]


def _insert_of(table: Table, but: str = "") -> Any:
    names = [column.key for column in table.columns if column.key != but]
    return insert(table).values({name: bindparam(name) for name in names})


def _values(table: Table, row: Any) -> dict[str, Any]:
    return dict(zip((column.key for column in table.columns), row, strict=True))


def _content(connection: Connection, session: int) -> Content:
    names = {"of_session": session}
    count, running = connection.execute(_RUNS_OF, names).one()
    return Content(count, running, connection.execute(_MESSAGES_OF, names).scalar_one())


def _there(connection: Connection, key: str) -> tuple[Any, Content | None]:
    row = connection.execute(_THERE, {"of_key": key}).one_or_none()
    return row, None if row is None else _content(connection, row.id)


def _is_same(source: Connection, row: Any, content: Content) -> bool:
    """Whether the session still is what was copied."""
    now = source.execute(_ROW, {"of_session": row.id}).one_or_none()
    return now is not None and tuple(now) == tuple(row) and _content(source, row.id) == content
