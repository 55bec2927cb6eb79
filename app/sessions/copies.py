"""Copies of sessions: forks, and what is exported and imported."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, func, select

from app.errors import NotFound
from app.ids import new_hex
from app.sessions import statements as sql
from app.sessions.building import Piece, SessionBuilder
from app.sessions.filters import filtered
from app.sessions.forks import copy_piece, count_piece, plan_fork
from app.sessions.index import WITH_TEXTS, load_session
from app.sessions.portable import (
    ExportedMessage,
    ImportedRun,
    NewSession,
    PortableMessage,
    PortableRun,
    Snapshot,
)
from app.sessions.rows import FORK, IMPORT, SessionFilter
from app.sessions.transcripts import ROW_COLUMNS, load_row
from app.storage.base import Database, Worker
from app.storage.message_json import dump_message
from app.storage.tables import messages, runs, sessions

MAX_PIECE = 200  # messages that are read at once, and
MAX_PIECE_SIZE = 512 * 1024  # characters of them; a larger message is a piece of its own
MAX_STORED = 1000  # messages in one transaction; a longer run is one of its own

_SIZES = (
    select(messages.c.id, func.length(messages.c.content))
    .where(messages.c.session == bindparam("session"), messages.c.replaced_by.is_(None))
    .order_by(messages.c.run_number, messages.c.position)
)
_UNENDED = (
    select(runs.c.id)
    .where(runs.c.session == bindparam("session"), runs.c.state == "running")
    .order_by(runs.c.run_number)
)
_RUN = (
    *(runs.c.state, runs.c.source, runs.c.started_at, runs.c.ended_at, runs.c.finish_reason),
    *(runs.c.error_code, runs.c.error_message, runs.c.model, runs.c.prompt_tokens),
    *(runs.c.completion_tokens, runs.c.usage_estimated),
)
_PIECE = (
    select(*ROW_COLUMNS, messages.c.run_number.label("number"), *_RUN)
    .join(runs, runs.c.id == messages.c.run_id)
    .where(messages.c.id.in_(bindparam("ids", expanding=True)))
    .order_by(messages.c.run_number, messages.c.position)
)
_STORED = select(runs.c.id).where(runs.c.id == bindparam("run"))
_ADD_RUN = runs.insert().values(
    {
        name: bindparam(name)
        for name in (
            *("id", "session", "run_number", "worker", "source", "state", "started_at", "ended_at"),
            *("dequeued_at", "finish_reason", "error_code", "error_message", "model", "prompt_tokens"),
            *("completion_tokens", "usage_estimated"),
        )
    }
)


class SqlSessionCopies:
    """Implements `SessionCopies`."""

    def __init__(self, database: Database, worker: Worker) -> None:
        self._database = database
        self._worker = worker
        self._builder = SessionBuilder(database)
        self._add_runs = database.prepare(_ADD_RUN)
        self._add_messages = database.prepare(sql.ADD_MESSAGES)

    def snapshot(self, session_key: str) -> Snapshot | None:
        """The session as it is now, without its messages; None if there is none."""
        where = SessionFilter(key=session_key)

        def work(connection: Connection) -> Snapshot | None:
            known = connection.execute(filtered(where, WITH_TEXTS.add_columns(sessions.c.id))).one_or_none()
            if known is None:
                return None
            session = {"session": known[-1]}
            ids, ends = array("q"), array("q")
            with connection.execute(_SIZES, session) as found:
                for number, end in _pieces(found):
                    ids.append(number)
                    if end:
                        ends.append(len(ids) - 1)
            if ids:
                ends.append(len(ids))
            unended = connection.execute(_UNENDED, session).scalars().all()
            return Snapshot(load_session(known[:-1]), ids, ends, unended)

        return self._database.scan(work)

    def piece(self, snapshot: Snapshot, place: int) -> list[ExportedMessage]:
        """The messages up to `snapshot.ends[place]`. Raises NotFound: the session was deleted."""
        start = snapshot.ends[place - 1] if place else 0
        wanted = list(snapshot.ids[start : snapshot.ends[place]])

        def work(connection: Connection) -> list[ExportedMessage]:
            with connection.execute(_PIECE, {"ids": wanted}) as found:
                return [_exported(row) for row in found]

        piece = self._database.scan(work)
        if len(piece) < len(wanted):
            raise NotFound("Messages of the session were deleted in the meantime.")
        return piece

    def fork(self, session_key: str, new: NewSession, message_id: str | None) -> int:
        """Copy the conversation up to and including that message, or all of it."""
        plan = self._database.scan(lambda connection: plan_fork(connection, session_key, message_id))
        prefix, worker = f"{FORK}-{new_hex()}", self._worker.id

        def copy(piece: tuple[int, int]) -> Piece:
            def work(connection: Connection, fork: int) -> int:
                done = count_piece(connection, piece, fork)  # by an attempt that nobody has heard of
                return done or copy_piece(connection, plan, piece, fork, prefix, worker)

            return work

        return self._builder.build(new, plan.run_count, map(copy, plan.pieces), plan.messages)

    def add(self, new: NewSession, runs: Sequence[ImportedRun]) -> int:
        """Store a conversation in a new session, or one without messages."""
        prefix, worker = f"{IMPORT}-{new_hex()}", self._worker.id
        total = sum(len(said) for _, said in runs)

        def add(piece: range) -> Piece:
            rows = [_run_row(number, runs[number - 1][0], prefix, worker) for number in piece]
            said = [row for number in piece for row in _message_rows(number, runs[number - 1][1], prefix)]

            def work(connection: Connection, session: int) -> int:
                if not connection.execute(_STORED, {"run": rows[0]["id"]}).first():
                    self._add_runs.many(connection, [{**row, "session": session} for row in rows])
                    self._add_messages.many(connection, [{**row, "session": session} for row in said])
                return len(said)

            return work

        return self._builder.build(new, len(runs), map(add, _parts(runs)), total)


def _pieces(sizes: Any) -> Iterator[tuple[int, bool]]:
    """The number of each message, and whether a new piece begins with it."""
    count = size = 0
    for number, length in sizes:
        ends = count > 0 and (count == MAX_PIECE or size + length > MAX_PIECE_SIZE)
        count, size = (1, length) if ends else (count + 1, size + length)
        yield number, ends


def _exported(row: Any) -> ExportedMessage:
    known = len(ROW_COLUMNS)
    return ExportedMessage(load_row(0, *row[:known]), row[known], PortableRun(*row[known + 1 :]))


def _parts(runs: Sequence[ImportedRun]) -> Iterator[range]:
    """The numbers of the runs, from 1, as many together as one transaction should have."""
    start = 1
    size = 0
    for number, (_, said) in enumerate(runs, 1):
        if size and size + len(said) > MAX_STORED:
            yield range(start, number)
            start, size = number, 0
        size += len(said)
    if runs:
        yield range(start, len(runs) + 1)


def _run_row(number: int, run: PortableRun, prefix: str, worker: str) -> dict[str, Any]:
    own = {"id": f"{prefix}-{number}", "run_number": number, "worker": worker, "source": IMPORT}
    return {**run._asdict(), **own, "dequeued_at": run.started_at}


def _message_rows(number: int, said: Sequence[PortableMessage], prefix: str) -> Iterator[dict[str, Any]]:
    for position, (message, state, created_at) in enumerate(said):
        place = {"run_id": f"{prefix}-{number}", "run_number": number, "position": position}
        content = {"role": message.role, "content": dump_message(message), "state": state}
        yield {**place, **content, "created_at": created_at}
