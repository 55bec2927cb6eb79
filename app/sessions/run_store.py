"""The runs of sessions, with the messages that went in and came out.

A run is stored the moment it is accepted, so its input survives whatever happens to the process. Nothing is
overwritten by a later request: what an edit or a regeneration replaces is marked as replaced, and left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

import orjson
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from app.clock import now_ms
from app.errors import IdempotencyKeyReused
from app.ids import new_uuid
from app.messages import Message, Usage
from app.sessions import bound_keys
from app.sessions import statements as sql
from app.sessions.keys import shown_run_id
from app.sessions.lanes import queue_is_full
from app.sessions.message_rows import input_rows, is_bulky, message_row, used
from app.sessions.rows import load_stored
from app.sessions.run_places import SqlRunPlaces
from app.sessions.settled import accepted, appended, ended
from app.sessions.stored import (
    PLAIN_RUN,
    AcceptedRun,
    MessageState,
    NewRun,
    RunState,
    StoredMessage,
)
from app.storage.base import Database, Worker, nothing_settled

NO_SETTINGS: Mapping[str, Any] = MappingProxyType({})


class SqlRunStore(SqlRunPlaces):
    """Implements `RunStore`."""

    def __init__(self, database: Database, worker: Worker) -> None:
        super().__init__(database, worker)
        self._settings = database.prepare(sql.SETTINGS)
        self._history = database.prepare(sql.HISTORY)
        self._count_run = database.prepare(sql.COUNT_RUN)
        self._add_session = database.prepare(sql.ADD_SESSION)
        self._add_label = database.prepare(sql.ADD_LABEL)
        self._touch_session = database.prepare(sql.TOUCH_SESSION)
        self._add_run = database.prepare(sql.ADD_RUN)
        self._end_run = database.prepare(sql.END_RUN)
        self._keep_usage = database.prepare(sql.KEEP_USAGE)
        self._end_of_run = database.prepare(sql.END_OF_RUN)
        self._insert_messages = database.prepare(sql.ADD_MESSAGES)

    def settings_of(self, session_key: str) -> Mapping[str, Any]:
        """What was set for the session; an empty mapping for an unknown one."""
        rows = self._database.rows(self._settings, {"key": session_key})
        if not rows or rows[0][0] == "{}":
            return NO_SETTINGS
        settings: dict[str, Any] = orjson.loads(rows[0][0])
        return settings

    def accept(
        self,
        run_id: str,
        session_key: str,
        agent_id: str,
        label: str | None,
        source: str,
        messages: Sequence[Message],
        details: NewRun = PLAIN_RUN,
    ) -> AcceptedRun:
        """Store a new run with its input, and its session if there is none. `label` names an unnamed session.
        The session's runs are accepted one after the other: each finds all earlier ones. Raises KeyInUse,
        IdempotencyKeyReused and SessionBusy (the queue is full).
        """
        now, worker = now_ms(), self._worker.id
        started_at = details.started_at or now
        names = {"key": session_key, "agent_id": agent_id, "label": label, "hidden": details.hidden}
        rows = input_rows(messages, now)

        def work(connection: Connection) -> AcceptedRun:
            cut = bound_keys.bind(connection, details.key, run_id, now)
            session, number, before = self._next_run(connection, names, now)
            if details.max_waiting is not None and before > details.max_waiting:
                raise queue_is_full(before - 1, details.max_waiting)
            begins = before == 0 and not details.waits
            run = {"id": run_id, "session": session, "run_number": number, "worker": worker, "source": source}
            times = {"started_at": started_at, "ended_at": None, "dequeued_at": now if begins else None}
            run |= {"state": "running", "request": details.request, **times}
            fence, has_steps = self._add(connection, run, rows, cut)
            return AcceptedRun(number, fence, before, begins, has_steps)

        settled, lane = accepted(session_key, run_id, worker, started_at), f"lane: {session_key}"
        try:
            return self._database.write(work, bulky=is_bulky(rows), alone=lane, settled=settled)
        except IntegrityError as error:
            shown = shown_run_id(run_id, session_key)
            raise IdempotencyKeyReused(f"There has been a run with the id {shown!r}.") from error

    def history(self, session_key: str, run_id: str) -> list[StoredMessage]:
        """The messages of earlier runs that have ended, oldest first, without those that were replaced."""
        names = {"key": session_key, "run": run_id}
        return load_stored(self._database.rows(self._history, names, patient=True))

    def reconcile(
        self, run_id: str, replaced: Sequence[int], messages: Sequence[Message], fence: int = 1
    ) -> bool:
        """Mark the messages with the ids `replaced` as replaced by this run; `messages` become its input.

        False if nothing was stored.
        """
        own = self._own(run_id, fence)
        marks = [{"message": message, "run": run_id} for message in replaced]
        rows = input_rows(messages, now_ms())

        def work(connection: Connection) -> bool:
            place = connection.execute(sql.PLACE_OF_RUN, own).one_or_none()
            if place is None:
                return False
            if marks:
                connection.execute(sql.MARK_REPLACED, marks)
            connection.execute(sql.DROP_MESSAGES, {"run": run_id})
            self._add_messages(connection, rows, run_id, *place)
            return True

        return self._database.write(work, bulky=is_bulky(rows), patient=True, settled=nothing_settled)

    def append(
        self,
        run_id: str,
        messages: Sequence[tuple[Message, MessageState]],
        fence: int = 1,
        model: str | None = None,
        usage: Usage | None = None,
    ) -> bool:
        """Store messages of a run that goes on, and what it has used so far. False if nothing was stored."""
        own = self._own(run_id, fence)
        if not messages:
            return True
        now = now_ms()
        contents = [message_row(position, *one, now) for position, one in enumerate(messages)]

        def work(connection: Connection) -> bool:
            place = self._end_of_run.one_or_none(connection, own)
            if place is None:
                return False
            session, number, first = place
            rows = [{**row, "position": first + row["position"]} for row in contents]
            self._add_messages(connection, rows, run_id, session, number)
            if usage is not None:
                self._keep_usage.all(connection, {"run": run_id, "new_model": model, **used(usage)})
            return True

        settled = appended(run_id, contents[-1])
        return self._database.write(work, bulky=is_bulky(contents), patient=True, settled=settled)

    def mark_unpaired(self, run_id: str, stored: Sequence[int], own: Sequence[int], fence: int = 1) -> None:
        """Mark as unpaired the messages with the ids `stored`, and the run's own at the positions `own`."""
        run = self._own(run_id, fence)

        def work(connection: Connection) -> None:
            if connection.execute(sql.PLACE_OF_RUN, run).one_or_none() is None:
                return
            if stored:
                connection.execute(sql.MARK_UNPAIRED, [{"message": one} for one in stored])
            if own:
                connection.execute(sql.MARK_INPUT_UNPAIRED, [{"run": run_id, "place": one} for one in own])

        self._database.write(work, patient=True, settled=nothing_settled)

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
        fence: int = 1,
        patient: bool = True,
    ) -> bool:
        """Store the answer and end the run. False if nothing was stored."""
        end = {
            **self._own(run_id, fence),
            "new_state": state,
            "new_ended_at": (now := now_ms()),
            "new_finish_reason": finish_reason,
            "new_error_code": error_code,
            "new_error_message": error_message,
            "new_model": model,
            **used(usage),
        }

        def work(connection: Connection) -> bool:
            place = self._end_run.one_or_none(connection, end)
            if place is None:
                return False
            session, number, first = place
            rows = [message_row(first + position, *answer, now) for position, answer in enumerate(messages)]
            self._add_messages(connection, rows, run_id, session, number)
            self._touch_session.all(connection, {"session": session, "now": now})
            return True

        return self._database.write(work, patient=patient, settled=ended(end))

    def _next_run(self, connection: Connection, values: dict[str, Any], now: int) -> tuple[int, int, int]:
        """The session's row, which is added if it is not there, the number of its next run, and how many of
        its runs have not ended.
        """
        found = self._count_run.one_or_none(connection, {"of_key": values["key"], "now": now})
        if found is None:
            first = {"session_id": new_uuid(), "run_count": 1, "created_at": now, "updated_at": now}
            (added,) = self._add_session.all(connection, {**values, **first})
            found = (*added, 0)
        session, number, label, before = found
        if label is None and values["label"] is not None:
            self._add_label.all(connection, {"session": session, "new_label": values["label"]})
        return session, number, before

    def _add(
        self, connection: Connection, run: dict[str, Any], rows: Any, cut: bound_keys.CutRun | None
    ) -> tuple[int, bool]:
        """Add the run with its input; see `bound_keys.put_in_place`, if it is for the place of another."""
        where = run["id"], run["session"], run["run_number"]
        add_input = partial(self._add_messages, connection, rows, *where)
        if cut is not None:
            return bound_keys.put_in_place(connection, cut, run, add_input)
        self._add_run.all(connection, run)
        add_input()
        return 1, False

    def _add_messages(
        self,
        connection: Connection,
        rows: Sequence[dict[str, Any]],
        run_id: str,
        session: int,
        run_number: int,
    ) -> None:
        place = {"run_id": run_id, "session": session, "run_number": run_number}
        if rows:
            self._insert_messages.many(connection, [{**row, **place} for row in rows])
