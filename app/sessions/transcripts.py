"""What a session's messages are to somebody who looks at them, shortens them, or adds one by hand."""

from __future__ import annotations

import time
import uuid
from typing import Any

from sqlalchemy import Connection, bindparam, func, select

from app.errors import NotFound
from app.messages import Message
from app.sessions import statements as sql
from app.sessions.rows import INJECTED, TranscriptRow
from app.storage.message_json import dump_message, load_message
from app.storage.owners import OwnerLock
from app.storage.sqlite.database import Database
from app.storage.tables import messages, runs, sessions

COMPACTED = "compact"

_TOLD = (sessions.c.key == bindparam("of_key"), messages.c.replaced_by.is_(None))
_LENGTH = (
    select(func.count())
    .select_from(messages)
    .join(sessions, sessions.c.id == messages.c.session)
    .where(*_TOLD)
)
_ROWS = (
    select(
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
    .join(sessions, sessions.c.id == messages.c.session)
    .join(runs, runs.c.id == messages.c.run_id)
    .where(*_TOLD)
    .order_by(messages.c.turn.desc(), messages.c.position.desc())
    .limit(bindparam("most"))
    .offset(bindparam("behind"))
)
_ROLES = (
    select(messages.c.id, messages.c.role)
    .join(sessions, sessions.c.id == messages.c.session)
    .where(*_TOLD)
    .order_by(messages.c.turn, messages.c.position)
)


class Transcripts:
    """Each operation is one transaction. All raise `StorageUnavailable`."""

    _database: Database
    _owner: OwnerLock

    def transcript(self, session_key: str, limit: int, offset: int = 0) -> list[TranscriptRow]:
        """The newest `limit` messages but for the `offset` very newest, oldest first."""
        page = {"of_key": session_key, "most": limit, "behind": offset}

        def work(connection: Connection) -> tuple[int, list[Any]]:
            total = connection.execute(_LENGTH, {"of_key": session_key}).scalar_one()
            return total, list(connection.execute(_ROWS, page).all())

        total, rows = self._database.read(work)
        seq = total - offset
        told = [_row(seq - place, *row) for place, row in enumerate(rows)]
        return told[::-1]

    def length(self, session_key: str) -> int:
        """How many messages the session has; those that were replaced do not count."""
        names = {"of_key": session_key}
        found: int = self._database.read(lambda connection: connection.execute(_LENGTH, names).scalar_one())
        return found

    def compact(self, session_key: str, most: int) -> int:
        """Let only the newest messages count, `most` of them or a few less; how many those are.

        A tool's result goes with the call it answers.
        """

        def work(connection: Connection) -> int:
            rows = connection.execute(_ROLES, {"of_key": session_key}).all()
            first = max(0, len(rows) - most)
            while 0 < first < len(rows) and rows[first].role == "tool":
                first += 1
            if first:
                marks = [{"message": row.id, "run": COMPACTED} for row in rows[:first]]
                connection.execute(sql.MARK_REPLACED, marks)
            return len(rows) - first

        return self._database.write(work, bulky=True)

    def inject(self, session_key: str, text: str, label: str | None = None) -> str:
        """Let the assistant have said `text`, though no model did; the message's id.

        Raises NotFound: nothing has been said in such a session.
        """
        message_id = uuid.uuid4().hex
        run_id, now, owner = f"{INJECTED}-{message_id}", time.time_ns() // 1_000_000, self._owner.id
        content = dump_message(Message("assistant", f"[{label}]\n\n{text}" if label else text))

        def work(connection: Connection) -> None:
            if not connection.execute(_LENGTH, {"of_key": session_key}).scalar():
                raise NotFound("session not found")
            count = {"of_key": session_key, "now": now}
            ((session, turn, _),) = sql.COUNT_TURN.all(connection, count)
            place = {"session": session, "turn": turn}
            run = {"id": run_id, **place, "owner": owner, "source": INJECTED, "state": "finished"}
            sql.ADD_RUN.all(connection, {**run, "started_at": now, "ended_at": now})
            message = {**place, "run_id": run_id, "position": 0, "role": "assistant", "content": content}
            sql.ADD_MESSAGES.all(connection, {**message, "state": "complete", "created_at": now})

        self._database.write(work)
        return message_id


def _row(seq: int, role: Any, content: str, number: int, *rest: Any) -> TranscriptRow:
    state, created_at, run_id, run_state, source, *told = rest
    message = load_message(role, content)
    return TranscriptRow(number, seq, message, state, created_at, run_id, run_state, source, *told)
