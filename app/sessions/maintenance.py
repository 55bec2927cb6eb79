"""The upkeep of stored sessions: runs of dead workers, sessions that are old or too many."""

from __future__ import annotations

from collections import defaultdict

from sqlalchemy import Connection, and_, bindparam, false, func, or_, select, true

from app.clock import now_ms
from app.messages import Message, ToolCall
from app.sessions import statements as sql
from app.storage.base import Database, Worker
from app.storage.message_json import dump_message, load_message
from app.storage.tables import messages, runs, sessions

INTERRUPTED = (
    "Interrupted: the gateway stopped while this tool was at work. It may or may not have taken effect: "
    "check before you call it again."
)
HIDDEN_SECONDS = 24 * 3600  # how long a run is kept that needs no session of its own
ALONE = "sessions: upkeep"  # what one worker does at a time
MAX_PRUNED_AT_ONCE = 50  # sessions in one transaction, so that no other write waits long

_WORKERS_WITH_RUNS = select(runs.c.worker).where(runs.c.state == "running").distinct()
_INTERRUPT = (
    runs.update()
    .where(runs.c.worker == bindparam("dead_worker"), runs.c.state == "running")
    .values(state="interrupted", ended_at=bindparam("now"))
)
# What their agents were doing: calls of tools, and the results there are.
_STEPS_OF_DEAD = (
    select(messages.c.run_id, messages.c.role, messages.c.content)
    .join(runs, runs.c.id == messages.c.run_id)
    .where(
        runs.c.worker == bindparam("dead_worker"),
        runs.c.state == "running",
        messages.c.state == "step",
    )
    .order_by(messages.c.run_id, messages.c.position)
)
_END_OF_DEAD = select(
    runs.c.session,
    runs.c.run_number,
    select(func.count()).where(messages.c.run_id == bindparam("run")).scalar_subquery(),
).where(runs.c.id == bindparam("run"))
# From the newest of each owner's, counted from 1: a user cannot push out the sessions of another.
_PLACES = (
    select(
        sessions.c.id,
        func.row_number()
        .over(partition_by=sql.SPACE, order_by=(sessions.c.updated_at.desc(), sessions.c.id.desc()))
        .label("place"),
    )
    .where(sessions.c.hidden.is_(false()))
    .subquery()
)
_HAS_RUN = select(runs.c.id).where(runs.c.session == sessions.c.id, runs.c.state == "running").exists()
_STALE = (
    select(sessions.c.id, sessions.c.updated_at)
    .where(
        or_(
            sessions.c.updated_at < bindparam("before"),
            and_(sessions.c.hidden.is_(true()), sessions.c.updated_at < bindparam("hidden_before")),
            sessions.c.id.in_(select(_PLACES.c.id).where(_PLACES.c.place > bindparam("keep"))),
        ),
        ~_HAS_RUN,
    )
    .limit(bindparam("batch"))
    .with_for_update(skip_locked=True)
)
# Looks again: a run may have been accepted, in another worker, before the session's row was locked.
_DELETE = sessions.delete().where(
    sessions.c.id == bindparam("session"), sessions.c.updated_at == bindparam("seen"), ~_HAS_RUN
)


class SqlMaintenance:
    """Implements `Maintenance`."""

    def __init__(self, database: Database, worker: Worker) -> None:
        self._database = database
        self._worker = worker

    def interrupt_orphans(self) -> int:
        """Mark the running runs of dead workers as interrupted. Returns how many there were."""
        return self._database.write(self._interrupt_orphans, bulky=True, alone=ALONE)

    def prune(self, now: float, prune_after: float, max_entries: int) -> int:
        """Delete sessions unused for `prune_after` seconds, and the oldest beyond an owner's `max_entries`.

        A session with a run going on stays. `now` is in seconds since 1970. Returns how many were deleted.
        """
        limits = {
            "before": int((now - prune_after) * 1000),
            "hidden_before": int((now - HIDDEN_SECONDS) * 1000),
            "keep": max_entries,
            "batch": MAX_PRUNED_AT_ONCE,
        }

        def work(connection: Connection) -> int:
            self._interrupt_orphans(connection)
            stale = connection.execute(_STALE, limits).all()
            if not stale:
                return 0
            marks = [{"session": session, "seen": updated_at} for session, updated_at in stale]
            return connection.execute(_DELETE, marks).rowcount

        deleted = 0
        while batch := self._database.write(work, bulky=True, alone=ALONE):
            deleted += batch
        return deleted

    def ping(self) -> None:
        """Raise StorageUnavailable unless something can be stored now."""
        self._database.ping()

    def _interrupt_orphans(self, connection: Connection) -> int:
        workers = connection.execute(_WORKERS_WITH_RUNS).scalars().all()
        return sum(_interrupt(connection, one) for one in workers if not self._worker.is_alive(one))


def _interrupt(connection: Connection, worker: str) -> int:
    """Mark the worker's runs, and say in the conversation which calls of tools it did not bring to an end."""
    now = now_ms()
    unanswered: dict[str, list[ToolCall]] = defaultdict(list)  # by run
    for run_id, role, content in connection.execute(_STEPS_OF_DEAD, {"dead_worker": worker}):
        message, calls = load_message(role, content), unanswered[run_id]
        if message.tool_calls:
            calls[:] = message.tool_calls
        else:
            calls[:] = [call for call in calls if call.id != message.tool_call_id]
    for run_id, calls in unanswered.items():
        session, number, first = connection.execute(_END_OF_DEAD, {"run": run_id}).one()
        place = {"session": session, "run_id": run_id, "run_number": number, "created_at": now}
        for position, call in enumerate(calls, first):
            result = Message("tool", INTERRUPTED, tool_call_id=call.id, name=call.name)
            row = {"position": position, "role": "tool", "content": dump_message(result), "state": "step"}
            connection.execute(sql.ADD_MESSAGES, {**place, **row})
    return connection.execute(_INTERRUPT, {"dead_worker": worker, "now": now}).rowcount
