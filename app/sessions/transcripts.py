"""A session's messages, for somebody who reads them, shortens them, or adds one by hand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import Connection, bindparam, func, select

from app.clock import now_ms
from app.errors import NotFound
from app.ids import new_hex
from app.messages import Message
from app.sessions import statements as sql
from app.sessions.browsing import MAX_PAGE
from app.sessions.places import older
from app.sessions.rows import INJECTED, TranscriptRow, load_stored
from app.sessions.stored import StoredMessage
from app.storage.base import STREAMED, Database, Worker
from app.storage.message_json import dump_message, load_message
from app.storage.tables import messages, runs, sessions

COMPACTED = "compact"  # in the place of a run's id: what replaced the messages that were dropped

_COUNTED = (sessions.c.key == bindparam("of_key"), messages.c.replaced_by.is_(None))
_LENGTH = (
    select(func.count())
    .select_from(messages)
    .join(sessions, sessions.c.id == messages.c.session)
    .where(*_COUNTED)
)
# Of a message and its run; `load_row` takes them.
ROW_COLUMNS = (
    messages.c.role,
    messages.c.content,
    messages.c.id,
    messages.c.state,
    messages.c.created_at,
    runs.c.id,
    runs.c.state,
    runs.c.source,
    runs.c.model,
    runs.c.prompt_tokens,
    runs.c.completion_tokens,
    runs.c.finish_reason,
    runs.c.error_message,
)
_ROWS = (
    select(*ROW_COLUMNS)
    .join(sessions, sessions.c.id == messages.c.session)
    .join(runs, runs.c.id == messages.c.run_id)
    .where(*_COUNTED)
    .order_by(messages.c.run_number.desc(), messages.c.position.desc())
    .limit(bindparam("most"))
    .offset(bindparam("behind"))
)
_PLACES = (
    select(messages.c.run_number, messages.c.position)
    .join(sessions, sessions.c.id == messages.c.session)
    .where(*_COUNTED)
    .order_by(messages.c.run_number, messages.c.position)
    .limit(1)
)
_DROP = (
    messages.update()
    .where(
        messages.c.session
        == select(sessions.c.id).where(sessions.c.key == bindparam("of_key")).scalar_subquery(),
        messages.c.replaced_by.is_(None),
    )
    .values(replaced_by=COMPACTED)
)


class SqlTranscripts:
    """Implements `Transcripts`."""

    def __init__(self, database: Database, worker: Worker) -> None:
        self._database = database
        self._worker = worker

    def page(
        self, session_key: str, limit: int, offset: int = 0, max_size: int = MAX_PAGE
    ) -> list[TranscriptRow]:
        """The newest `limit` messages without the `offset` very newest, oldest first.

        Fewer if their stored contents have more than `max_size` characters, but at least one.
        """
        page = {"of_key": session_key, "most": limit, "behind": offset}

        def work(connection: Connection) -> tuple[int, list[Any]]:
            total = connection.execute(_LENGTH, {"of_key": session_key}).scalar_one()
            # Read one by one: all could be gigabytes.
            with connection.execute(_ROWS, page, execution_options=STREAMED) as found:
                return total, list(_until_full(found, max_size))

        total, rows = self._database.read(work)
        seq = total - offset
        newest_first = [load_row(seq - place, *row) for place, row in enumerate(rows)]
        return newest_first[::-1]

    def messages(self, session_key: str) -> list[StoredMessage]:
        """All messages, oldest first, those of runs going on too; without those that were replaced."""
        names = {"key": session_key}
        rows = self._database.read(lambda connection: connection.execute(sql.CONVERSATION, names).all())
        return load_stored(rows)

    def length(self, session_key: str) -> int:
        """How many messages the session has, without those that were replaced."""
        names = {"of_key": session_key}
        found: int = self._database.scan(lambda connection: connection.execute(_LENGTH, names).scalar_one())
        return found

    def compact(self, session_key: str, most: int) -> int:
        """Keep only the newest messages: `most`, or a few less, as a tool's result goes with its call.

        Returns how many those are.
        """

        named = {"of_key": session_key}

        def work(connection: Connection) -> int:
            total: int = connection.execute(_LENGTH, named).scalar_one()
            if total <= most:
                return total
            start = connection.execute(_PLACES.offset(total - most), named).one()
            no_result = _PLACES.where(~older(start), messages.c.role != "tool")
            first = connection.execute(no_result, named).first()
            dropped = connection.execute(_DROP if first is None else _DROP.where(older(first)), named)
            return total - dropped.rowcount

        return self._database.write(work, bulky=True)

    def inject(self, session_key: str, text: str, label: str | None = None) -> str:
        """Add an assistant's message that no model wrote. Returns the message's id.

        Raises NotFound: the session does not exist or has no message.
        """
        message_id = new_hex()
        run_id, now, worker = f"{INJECTED}-{message_id}", now_ms(), self._worker.id
        content = dump_message(Message("assistant", f"[{label}]\n\n{text}" if label else text))

        def work(connection: Connection) -> None:
            if not connection.execute(_LENGTH, {"of_key": session_key}).scalar():
                raise NotFound("session not found")
            count = {"of_key": session_key, "now": now}
            session, number, *_ = connection.execute(sql.COUNT_RUN, count).one()
            place = {"session": session, "run_number": number}
            run = {"id": run_id, **place, "worker": worker, "source": INJECTED, "state": "finished"}
            times = {"started_at": now, "ended_at": now, "dequeued_at": now}
            connection.execute(sql.ADD_RUN, {**run, **times, "request": None})
            message = {**place, "run_id": run_id, "position": 0, "role": "assistant", "content": content}
            connection.execute(sql.ADD_MESSAGES, {**message, "state": "complete", "created_at": now})

        self._database.write(work)
        return message_id


def _until_full(rows: Iterable[Any], max_size: int) -> Iterator[Any]:
    """The first row, and those after it up to `max_size` characters of content."""
    size = 0
    for row in rows:
        is_first, size = size == 0, size + len(row.content)
        if size > max_size and not is_first:
            return
        yield row


def load_row(seq: int, role: Any, content: str, number: int, *rest: Any) -> TranscriptRow:
    """The message of a row of `ROW_COLUMNS`."""
    state, created_at, run_id, run_state, source, *known = rest
    message = load_message(role, content)
    return TranscriptRow(number, seq, message, state, created_at, run_id, run_state, source, *known)
