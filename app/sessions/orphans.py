"""Runs whose workers are dead, or have given them up: one living worker takes each over, or interrupts it.

Both happen in the transaction in which the dead worker loses its name for good, with the run's fence one
higher: of what the old owner may still want to write, nothing is stored from then on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, func, literal_column, select

from app.clock import now_ms
from app.messages import Message, ToolCall
from app.sessions import statements as sql
from app.sessions.message_rows import message_row
from app.storage.base import Database, Worker, nothing_settled
from app.storage.message_json import load_message
from app.storage.tables import messages, runs, sessions

INTERRUPTED = (
    "Interrupted: the gateway stopped while this tool was at work. It may or may not have taken effect: "
    "check before you call it again."
)
ALONE = "sessions: upkeep"  # what one worker does at a time
MAX_TAKEN_AT_ONCE = 50  # runs in one transaction: another worker may have the next ones

_WORKERS_WITH_RUNS = select(runs.c.worker).where(runs.c.state == "running").distinct()
_UNENDED = (
    select(
        runs.c.id,
        sessions.c.key,
        runs.c.worker,
        runs.c.fence,
        runs.c.dequeued_at,
        runs.c.request,
        runs.c.session,
        runs.c.run_number,
        runs.c.started_at,
    )
    .join(sessions, sessions.c.id == runs.c.session)
    .where(runs.c.state == "running")
)
_OF_DEAD = (
    _UNENDED.where(runs.c.worker.in_(bindparam("dead", expanding=True)))
    .order_by(runs.c.session, runs.c.run_number)
    .limit(bindparam("most"))
)
# The state is written out, so that the index of running runs is used.
_OF_WORKER = select(runs.c.id, runs.c.fence).where(
    runs.c.worker == bindparam("own"), runs.c.state == literal_column("'running'")
)
_AMONG = _UNENDED.where(runs.c.id.in_(bindparam("ids", expanding=True)), runs.c.worker == bindparam("own"))
_SEEN = (
    runs.c.id == bindparam("run"),
    runs.c.state == "running",
    runs.c.worker == bindparam("seen_worker"),
    runs.c.fence == bindparam("seen_fence"),
)
_TAKE = (
    runs.update()
    .where(*_SEEN)
    .values(worker=bindparam("new_worker"), fence=runs.c.fence + 1, request=bindparam("new_request"))
)
_INTERRUPT = (
    runs.update()
    .where(*_SEEN)
    .values(state="interrupted", ended_at=bindparam("now"), fence=runs.c.fence + 1, request=None)
)
# What its agent was doing: calls of tools, and the results there are.
_STEPS = (
    select(messages.c.role, messages.c.content)
    .where(messages.c.run_id == bindparam("run"), messages.c.state == "step")
    .order_by(messages.c.position)
)
_OWNER = select(runs.c.worker, runs.c.fence).where(runs.c.id == bindparam("run")).with_for_update()
_LENGTH = select(func.count()).where(messages.c.run_id == bindparam("run"))


class Orphan(NamedTuple):
    """A run that has not ended, whose worker is dead. `fence` is that of the dead worker.

    `has_begun`: it had left its queue; `request` is what it takes to go on with it, if it may be.
    """

    run_id: str
    session_key: str
    worker: str
    fence: int
    has_begun: bool
    request: str | None
    session: int
    number: int
    accepted_at: int


class TakenOver(NamedTuple):
    """How many runs were interrupted, and those that are this worker's now."""

    interrupted: int = 0
    taken: Sequence[Orphan] = ()


Decide = Callable[[Orphan], str | None]


LEAVE = ""  # a decision: somebody else will take it over


def interrupt_all(_orphan: Orphan) -> None:
    """The `decide` of who goes on with no run."""


def leave_resumable(orphan: Orphan) -> str | None:
    """Interrupt those runs alone with which nobody may go on."""
    return None if orphan.request is None else LEAVE


class SqlOrphans:
    """Finds them, and takes them over."""

    def __init__(self, database: Database, worker: Worker) -> None:
        self._database = database
        self._worker = worker
        self._workers_with_runs = database.prepare(_WORKERS_WITH_RUNS)
        self._of_worker = database.prepare(_OF_WORKER)

    def take_over(self, decide: Decide = interrupt_all) -> TakenOver:
        """Take some of the runs of dead workers over. `decide`, which must be pure, says for each what its
        `request` is from now on; None for a run that is to be interrupted, LEAVE for one to be left alone.

        Cheap if there are none. Raises StorageUnavailable.
        """
        found = [name for (name,) in self._database.rows(self._workers_with_runs, {})]
        suspects = self._worker.dead(found)
        if not suspects:
            return TakenOver()
        own = "" if decide in (interrupt_all, leave_resumable) else self._worker.id
        last = TakenOver()

        def work(connection: Connection) -> TakenOver:
            nonlocal last
            last = self._take(connection, suspects, own, decide)
            return last

        def settled(connection: Connection) -> TakenOver | None:
            return last if last.taken and _is_taken(connection, last.taken[0]) else None

        return self._database.write(work, bulky=True, alone=ALONE, settled=settled)

    def interrupt_forgotten(self, is_known: Callable[[str], bool]) -> int:
        """Interrupt those of this worker's own runs that are not known to it (any more): their ends, or that
        they were accepted, could not be stored or confirmed while the database was away. Their sessions would
        wait for them for as long as this worker lives.

        Returns how many there were. Cheap if there are none. Raises StorageUnavailable.
        """
        own = self._worker.last_id
        found = self._database.rows(self._of_worker, {"own": own})
        forgotten = {run_id: fence for run_id, fence in found if not is_known(run_id)}
        if not forgotten:
            return 0

        def work(connection: Connection) -> int:
            rows = connection.execute(_AMONG, {"ids": list(forgotten)[:MAX_TAKEN_AT_ONCE], "own": own}).all()
            same = [one for one in map(_orphan, rows) if one.fence == forgotten[one.run_id]]
            return sum(_interrupt(connection, one) for one in same)

        return self._database.write(work, bulky=True, alone=ALONE, settled=nothing_settled)

    def _take(self, connection: Connection, suspects: Sequence[str], own: str, decide: Decide) -> TakenOver:
        dead = self._worker.bury(connection, suspects)
        if not dead:
            return TakenOver()
        interrupted, taken = 0, []
        rows = connection.execute(_OF_DEAD, {"dead": dead, "most": MAX_TAKEN_AT_ONCE}).all()
        for orphan in map(_orphan, rows):
            new_request = decide(orphan)
            if new_request == LEAVE:
                continue
            if new_request is None:
                interrupted += _interrupt(connection, orphan)
            elif connection.execute(
                _TAKE, {**_seen(orphan), "new_worker": own, "new_request": new_request}
            ).rowcount:
                taken.append(orphan._replace(worker=own, fence=orphan.fence + 1, request=new_request))
        return TakenOver(interrupted, taken)


def _orphan(row: Any) -> Orphan:
    run_id, key, worker, fence, dequeued_at, request, session, number, accepted_at = row
    return Orphan(run_id, key, worker, fence, dequeued_at is not None, request, session, number, accepted_at)


def _is_taken(connection: Connection, orphan: Orphan) -> bool:
    return connection.execute(_OWNER, {"run": orphan.run_id}).one_or_none() == (orphan.worker, orphan.fence)


def _seen(orphan: Orphan) -> dict[str, object]:
    return {"run": orphan.run_id, "seen_worker": orphan.worker, "seen_fence": orphan.fence}


def _interrupt(connection: Connection, orphan: Orphan) -> int:
    """Mark the run, and say in the conversation which calls of tools its worker did not bring to an end."""
    now = now_ms()
    if not connection.execute(_INTERRUPT, {**_seen(orphan), "now": now}).rowcount:
        return 0
    unanswered: list[ToolCall] = []
    for role, content in connection.execute(_STEPS, {"run": orphan.run_id}):
        message = load_message(role, content)
        if message.tool_calls:
            unanswered = list(message.tool_calls)
        else:
            unanswered = [call for call in unanswered if call.id != message.tool_call_id]
    if unanswered:
        first = connection.execute(_LENGTH, {"run": orphan.run_id}).scalar_one()
        place = {"session": orphan.session, "run_id": orphan.run_id, "run_number": orphan.number}
        for position, call in enumerate(unanswered, first):
            result = Message("tool", INTERRUPTED, tool_call_id=call.id, name=call.name)
            connection.execute(sql.ADD_MESSAGES, {**place, **message_row(position, result, "step", now)})
    return 1
