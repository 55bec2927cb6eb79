"""Where conversations are kept: sessions, their runs, and what was said in them.

A run is stored the moment it is accepted, so its turn survives whatever happens to the process. Nothing
is overwritten by a later request: what an edit or a regeneration replaces is marked, and no longer told.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from app.errors import IdempotencyKeyReused
from app.ids import new_uuid
from app.messages import Message, Usage
from app.sessions import statements as sql
from app.sessions.history import MessageState, RunState, StoredMessage
from app.sessions.index import SessionIndex
from app.sessions.rows import SessionFilter, StoredSession, TranscriptRow
from app.sessions.transcripts import Transcripts
from app.sessions.usage import UsageLedger
from app.storage.message_json import dump_message, load_message
from app.storage.owners import OwnerLock
from app.storage.sqlite.database import Database

__all__ = [
    "MessageState",
    "RunState",
    "SessionFilter",
    "SessionStore",
    "StoredMessage",
    "StoredSession",
    "TranscriptRow",
]

PRUNE_BATCH = 50  # sessions a transaction deletes, so that no other write waits long
BULKY = 256 * 1024  # characters; pictures, mostly


class SessionStore(SessionIndex, Transcripts, UsageLedger):
    """Each operation is one transaction. All raise `StorageUnavailable`."""

    def __init__(self, database: Database, owner: OwnerLock) -> None:
        self._database = database
        self._owner = owner

    def accept(
        self,
        run_id: str,
        session_key: str,
        agent_id: str,
        label: str | None,
        source: str,
        messages: Sequence[Message],
    ) -> int:
        """Store a new run with what its caller says, and its session if need be. Returns its turn."""
        now, owner = _now(), self._owner.id
        session_values = {"key": session_key, "agent_id": agent_id, "label": label}
        rows = _input_rows(messages)

        def work(connection: Connection) -> int:
            session, turn = _next_turn(connection, session_values, now)
            run = {"id": run_id, "session": session, "turn": turn, "owner": owner, "source": source}
            sql.ADD_RUN.all(connection, {**run, "state": "running", "started_at": now, "ended_at": None})
            _add_messages(connection, rows, run_id, session, turn)
            return turn

        try:
            return self._database.write(work, bulky=_is_bulky(rows))
        except IntegrityError as error:
            raise IdempotencyKeyReused(f"There has been a run with the id {run_id!r}.") from error

    def history(self, session_key: str, run_id: str) -> list[StoredMessage]:
        """What was said before this run: the earlier turns that have ended, without what was replaced."""
        names = {"key": session_key, "run": run_id}
        return _stored(self._database.rows(sql.HISTORY, names))

    def reconcile(self, run_id: str, replaced: Sequence[int], messages: Sequence[Message]) -> None:
        """Mark the messages that this run's request overrules, and put `messages` in place of its input."""
        marks = [{"message": message, "run": run_id} for message in replaced]
        rows = _input_rows(messages)

        def work(connection: Connection) -> None:
            place = connection.execute(sql.PLACE_OF_RUN, {"run": run_id}).one_or_none()
            if place is None:  # its session was deleted or began anew
                return
            if marks:
                connection.execute(sql.MARK_REPLACED, marks)
            connection.execute(sql.DROP_MESSAGES, {"run": run_id})
            _add_messages(connection, rows, run_id, *place)

        self._database.write(work, bulky=_is_bulky(rows))

    def finish(
        self,
        run_id: str,
        state: RunState,
        messages: Sequence[tuple[Message, MessageState]],
        finish_reason: str | None = None,
        error_code: str | None = None,
        error_message: str | None = None,
        model: str | None = None,
        usage: Usage | None = None,
    ) -> bool:
        """Store the answer and end the run. False if it has ended already or its session was deleted."""
        end = {
            "run": run_id,
            "new_state": state,
            "new_ended_at": (now := _now()),
            "new_finish_reason": finish_reason,
            "new_error_code": error_code,
            "new_error_message": error_message,
            "new_model": model,
            "new_prompt_tokens": usage and usage.prompt_tokens,
            "new_completion_tokens": usage and usage.completion_tokens,
            "new_usage_estimated": usage and usage.estimated,
        }

        def work(connection: Connection) -> bool:
            place = sql.END_RUN.one_or_none(connection, end)
            if place is None:
                return False
            session, turn, first = place
            rows = [_row(first + number, *answer) for number, answer in enumerate(messages)]
            _add_messages(connection, rows, run_id, session, turn)
            sql.TOUCH_SESSION.all(connection, {"session": session, "now": now})
            return True

        return self._database.write(work)

    def interrupt_orphans(self) -> int:
        """Mark the running runs of dead processes as interrupted; how many there were."""
        return self._database.write(self._interrupt_orphans, bulky=True)

    def messages(self, session_key: str) -> list[StoredMessage]:
        """All that counts of a session, also of the runs that are going on."""
        names = {"key": session_key}
        rows = self._database.read(lambda connection: connection.execute(sql.TRANSCRIPT, names).all())
        return _stored(rows)

    def prune(self, now: float, prune_after: float, max_entries: int) -> int:
        """Delete sessions unused for `prune_after` seconds, and the oldest beyond `max_entries`.

        A session with a run going on stays. `now` is in seconds since 1970.
        """
        limits = {"before": int((now - prune_after) * 1000), "keep": max_entries, "batch": PRUNE_BATCH}

        def work(connection: Connection) -> int:
            self._interrupt_orphans(connection)
            stale = connection.execute(sql.STALE, limits).scalars().all()
            if stale:
                connection.execute(sql.DELETE_SESSION, [{"session": session} for session in stale])
            return len(stale)

        deleted = 0
        while batch := self._database.write(work, bulky=True):
            deleted += batch
        return deleted

    def delete(self, session_key: str) -> bool:
        """Forget a session and all that was said in it."""

        def work(connection: Connection) -> bool:
            return connection.execute(sql.DELETE_BY_KEY, {"of_key": session_key}).rowcount > 0

        return self._database.write(work, bulky=True)

    def ping(self) -> None:
        """Raise unless something can be stored now."""
        self._database.ping()

    def _interrupt_orphans(self, connection: Connection) -> int:
        owners = connection.execute(sql.RUNNING_OWNERS).scalars().all()
        dead = [{"of_owner": owner, "now": _now()} for owner in owners if not self._owner.is_alive(owner)]
        return sum(connection.execute(sql.INTERRUPT, owner).rowcount for owner in dead)


def _stored(rows: Iterable[Sequence[Any]]) -> list[StoredMessage]:
    return [
        StoredMessage(number, turn, load_message(role, content), state, run_state)
        for number, turn, role, content, state, run_state in rows
    ]


def _now() -> int:
    return time.time_ns() // 1_000_000


def _input_rows(messages: Sequence[Message]) -> list[dict[str, Any]]:
    return [_row(position, message, "complete") for position, message in enumerate(messages)]


def _is_bulky(rows: Sequence[dict[str, Any]]) -> bool:
    return sum(len(row["content"]) for row in rows) > BULKY


def _row(position: int, message: Message, state: MessageState) -> dict[str, Any]:
    return {"position": position, "role": message.role, "content": dump_message(message), "state": state}


def _next_turn(connection: Connection, values: dict[str, Any], now: int) -> tuple[int, int]:
    """The session's row and the number of its next turn; a session that is not there is made."""
    found = sql.COUNT_TURN.one_or_none(connection, {"of_key": values["key"], "now": now})
    if found is None:
        first = {"session_id": new_uuid(), "turns": 1, "created_at": now, "updated_at": now}
        (found,) = sql.ADD_SESSION.all(connection, {**values, **first})
    session, turn, label = found
    if label is None and values["label"] is not None:
        sql.ADD_LABEL.all(connection, {"session": session, "new_label": values["label"]})
    return session, turn


def _add_messages(
    connection: Connection, rows: Sequence[dict[str, Any]], run_id: str, session: int, turn: int
) -> None:
    place = {"run_id": run_id, "session": session, "turn": turn, "created_at": _now()}
    if rows:
        sql.ADD_MESSAGES.many(connection, [{**row, **place} for row in rows])
