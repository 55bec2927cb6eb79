"""The SQL of a fork: a conversation copied inside the database, whatever its length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    Connection,
    String,
    bindparam,
    cast,
    func,
    literal,
    null,
    select,
    update,
)

from app.errors import NotFound, SessionConflict
from app.sessions.places import find_place, not_behind, older
from app.sessions.rows import FORK
from app.storage.tables import messages, runs, sessions

MAX_RESULTS = 1000  # that are looked for behind a message: a turn has fewer calls
MAX_COPIED = 1000  # messages in one transaction; a longer run is one of its own

Place = tuple[int, int]  # a run's number, and a position in it

_SOURCE = select(sessions.c.id, sessions.c.run_count).where(sessions.c.key == bindparam("of_key"))
_FROM = (
    select(messages.c.run_number, messages.c.position, messages.c.role, runs.c.state)
    .join(sessions, sessions.c.id == messages.c.session)
    .join(runs, runs.c.id == messages.c.run_id)
    .where(
        sessions.c.key == bindparam("of_key"),
        messages.c.replaced_by.is_(None),
        messages.c.run_number >= bindparam("from_run"),
    )
    .order_by(messages.c.run_number, messages.c.position)
    .limit(MAX_RESULTS)
)
_COUNTS = (
    select(messages.c.run_number, func.count())
    .join(runs, runs.c.id == messages.c.run_id)
    .where(
        messages.c.session == bindparam("source"),
        messages.c.replaced_by.is_(None),
        runs.c.state != "running",
    )
    .group_by(messages.c.run_number)
    .order_by(messages.c.run_number)
)
_KEPT = (
    *("state", "started_at", "ended_at", "dequeued_at", "finish_reason", "error_code", "error_message"),
    *("model", "prompt_tokens", "completion_tokens", "usage_estimated"),
)
_MESSAGE = ("run_number", "position", "role", "content", "state", "created_at")


class ForkPlan(NamedTuple):
    """What is to be copied of the session `source`: `pieces` are ranges of runs' numbers, ends included.

    `end` is the place of the last message, None for all of them. `messages` is how many messages that are,
    `run_count` the number of the last run.
    """

    source: int
    pieces: Sequence[tuple[int, int]]
    end: Place | None
    messages: int
    run_count: int


def plan_fork(connection: Connection, session_key: str, message_id: str | None) -> ForkPlan:
    """Raises NotFound (session, or message) and SessionConflict: the message's run has not ended."""
    source = connection.execute(_SOURCE, {"of_key": session_key}).one_or_none()
    if source is None:
        raise NotFound("There is no such session.")
    end = None if message_id is None else find_end(connection, session_key, message_id)
    counts = _COUNTS if end is None else _COUNTS.where(not_behind(end))
    pieces: list[tuple[int, int]] = []
    total = size = 0
    with connection.execute(counts, {"source": source.id}) as found:
        for number, count in found:
            if not pieces or size + count > MAX_COPIED:
                pieces.append((number, number))
                size = 0
            pieces[-1] = (pieces[-1][0], number)
            size += count
            total += count
    return ForkPlan(source.id, pieces, end, total, source.run_count if end is None else end[0])


def find_end(connection: Connection, session_key: str, message_id: str) -> Place:
    """The last message that belongs to a fork at that one: a call's results come along.

    Raises NotFound, and SessionConflict: its run has not ended.
    """
    start = find_place(connection, session_key, message_id)
    end: Place | None = None
    if start is not None:
        named = {"of_key": session_key, "from_run": start[0]}
        with connection.execute(_FROM.where(~older(start)), named) as found:
            for number, position, role, state in found:
                if end is None and (number, position) == start and state == "running":
                    raise SessionConflict(
                        "The run of that message has not ended: wait for its end, or fork at an earlier one."
                    )
                is_result = end is not None and role == "tool" and state != "running"
                if not is_result and (number, position) != start:
                    break
                end = (number, position)
    if end is None:
        raise NotFound(f"The session has no message {message_id[:80]!r}.")
    return end


def copy_piece(
    connection: Connection, plan: ForkPlan, piece: tuple[int, int], fork: int, prefix: str, worker: str
) -> int:
    """Copy the runs of these numbers into the session `fork`; how many messages that are."""
    first, last = piece
    until = () if plan.end is None else (not_behind(plan.end),)
    kept = (
        messages.c.session == plan.source,
        messages.c.run_number.between(first, last),
        messages.c.replaced_by.is_(None),
        *until,
    )
    copied: dict[str, Any] = {
        "id": literal(prefix + "-") + cast(runs.c.run_number, String),
        "session": literal(fork),
        "run_number": runs.c.run_number,
        "worker": literal(worker),
        "source": literal(FORK),
        **{name: runs.c[name] for name in _KEPT},
    }
    with_message = select(messages.c.run_id).where(*kept)
    ended = select(*copied.values()).where(runs.c.id.in_(with_message), runs.c.state != "running")
    connection.execute(runs.insert().from_select(list(copied), ended))
    copy = runs.alias("copy")
    fields: dict[str, Any] = {
        "session": literal(fork),
        "run_id": copy.c.id,
        "replaced_by": null(),
        **{name: messages.c[name] for name in _MESSAGE},
    }
    said = (
        select(*fields.values())
        .join(copy, copy.c.run_number == messages.c.run_number)
        .where(copy.c.session == fork, *kept)
        .order_by(messages.c.run_number, messages.c.position)
    )
    connection.execute(messages.insert().from_select(list(fields), said))
    if plan.end is not None and first <= plan.end[0] <= last:
        _mark_cut(connection, plan.source, fork, plan.end)
    return count_piece(connection, piece, fork)


def count_piece(connection: Connection, piece: tuple[int, int], fork: int) -> int:
    """How many messages have been copied into the session `fork` with the runs of these numbers."""
    counted = select(func.count()).select_from(messages)
    found: int = connection.execute(
        counted.where(messages.c.session == fork, messages.c.run_number.between(*piece))
    ).scalar_one()
    return found


def _mark_cut(connection: Connection, source: int, fork: int, end: Place) -> None:
    """The last run is cut short if it went on behind the end: what it asked may be asked again."""
    number, position = end
    rest = select(messages.c.id).where(
        messages.c.session == source,
        messages.c.run_number == number,
        messages.c.position > position,
        messages.c.replaced_by.is_(None),
    )
    if connection.execute(rest.limit(1)).first() is not None:
        cut = update(runs).where(runs.c.session == fork, runs.c.run_number == number)
        connection.execute(cut.values(state="aborted", finish_reason=None))
