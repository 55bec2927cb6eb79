"""Callers' keys for their requests, each bound to the run that answers it (docs/idempotency.md).

All of it happens in the transaction that accepts a run. So of two equal requests at the same moment, in
whatever workers, one is accepted, and the other finds its run.

    the key's run            the same request again                    another request
    running, finished        KeyInUse: it gets the answer of that run  IdempotencyKeyReused
    cut, or refused          a new run in its place                    a new run

The run in its place goes on behind the last settled step of the one that was cut, if what has ended that may
pass: what its tools have done is done.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, delete, func, insert, or_, select

from app.errors import IdempotencyKeyReused
from app.ids import new_run_id
from app.sessions import statements as sql
from app.sessions.stored import RunKey
from app.storage.tables import idempotency_keys, messages, runs

KEPT_MS = 24 * 3600 * 1000  # how long a key is known
BINDING = ("running", "finished")  # states of a run that its key stands for
CUT_PREFIX = "cut_"
# Errors that the same steps would lead to again: such a turn is run from its beginning.
FINAL_ERRORS = ("max_turns", "tool_loop", "context_length_exceeded", "approval_required", "tool_choice_unmet")

_keys = idempotency_keys.c
_FIND = (
    select(_keys.run_id, _keys.body_hash, _keys.created_at)
    .where(_keys.id == bindparam("key"))
    .with_for_update()
)
_ADD = insert(idempotency_keys)
_SET = idempotency_keys.update().where(_keys.id == bindparam("key"))
_RUN = select(runs).where(runs.c.id == bindparam("run")).with_for_update()
MAX_PRUNED_AT_ONCE = 1000  # keys in one transaction, so that no other write waits long
_STALE = (
    select(_keys.id)
    .outerjoin(runs, runs.c.id == _keys.run_id)
    .where(or_(_keys.created_at <= bindparam("before"), runs.c.id.is_(None)))
    .limit(MAX_PRUNED_AT_ONCE)
)
_MARK = (
    messages.update()
    .where(messages.c.run_id == bindparam("cut"), messages.c.replaced_by.is_(None))
    .values(replaced_by=bindparam("run"))
)
_STEPS = (
    messages.c.run_id == bindparam("cut"),
    messages.c.state == "step",
    messages.c.replaced_by == bindparam("run"),
)
_FIRST_STEP = select(func.min(messages.c.position)).where(*_STEPS)
_KEEP_STEPS = (
    messages.update()
    .where(*_STEPS)
    .values(
        run_id=bindparam("run"),
        run_number=bindparam("number"),
        position=messages.c.position + bindparam("shift"),
        replaced_by=None,
    )
)
_LENGTH = select(func.count()).where(messages.c.run_id == bindparam("run"))
_MOVE = messages.update().where(messages.c.run_id == bindparam("run")).values(run_id=bindparam("cut"))


class KeyInUse(IdempotencyKeyReused):
    """The same request has been accepted before: the run `run_id`, which goes on or has an answer."""

    def __init__(self, run_id: str) -> None:
        super().__init__("A request with this idempotency key is going on, or has been answered.")
        self.run_id = run_id


class CutRun(NamedTuple):
    """A run without an answer, whose key another run gets. `values` is its row; `is_same`: the other run
    answers the same request, and takes its place in the conversation.
    """

    id: str
    values: Mapping[str, Any]
    is_same: bool

    @property
    def may_go_on(self) -> bool:
        """Whether the other run may go on behind its settled steps."""
        return self.is_same and self.values["error_code"] not in FINAL_ERRORS


def bind(connection: Connection, key: RunKey | None, run_id: str, now: int) -> CutRun | None:
    """Bind the key, if there is one, to a new run. Returns the run that it was bound to, if there is one.

    Raises KeyInUse and IdempotencyKeyReused (see above).
    """
    if key is None:
        return None
    found = connection.execute(_FIND, {"key": key.id}).one_or_none()
    bound = found if found is not None and found.created_at > now - KEPT_MS else None
    is_same = bound is None or bound.body_hash == key.body_hash
    run = None
    if bound is not None or key.is_run_id:
        run = _find_run(connection, bound.run_id if bound is not None else run_id)
    if run is not None and run["state"] in BINDING:
        raise KeyInUse(run["id"]) if is_same else reused()
    values = {"run_id": run_id, "body_hash": key.body_hash, "created_at": now}
    if found is None:
        connection.execute(_ADD.values(id=key.id, **values))
    else:
        connection.execute(_SET.values(**values), {"key": key.id})
    return None if run is None else CutRun(run["id"], run, is_same)


def _find_run(connection: Connection, run_id: str) -> dict[str, Any] | None:
    """The run's row, by the columns' names in Python."""
    row = connection.execute(_RUN, {"run": run_id}).one_or_none()
    return None if row is None else {column.key: value for column, value in zip(runs.c, row, strict=True)}


def put_in_place(
    connection: Connection, cut: CutRun, new: Mapping[str, Any], add_input: Callable[[], object]
) -> tuple[int, bool]:
    """Add the run with the values `new`, whose messages `add_input` adds, in the place of one that was cut.
    Returns the new run's fence, and whether it has the other's settled steps now.

    If both have the same id, the one that was cut gets another: what it has used stays known.
    """
    old_id, fence = cut.id, 1
    if old_id == new["id"]:
        old_id, fence = new_run_id(CUT_PREFIX), cut.values["fence"] + 1
        reset = {column.key: None for column in runs.c if column.nullable}
        own = {**reset, **new, "fence": fence}
        connection.execute(runs.update().where(runs.c.id == cut.id).values(**own))
        connection.execute(insert(runs).values(**{**cut.values, "id": old_id}))
        connection.execute(_MOVE, {"run": cut.id, "cut": old_id})
    else:
        connection.execute(sql.ADD_RUN, new)
    if cut.is_same:
        connection.execute(_MARK, {"cut": old_id, "run": new["id"]})
    add_input()
    return fence, cut.may_go_on and _keep_steps(
        connection, {"cut": old_id, "run": new["id"]}, new["run_number"]
    )


def _keep_steps(connection: Connection, names: Mapping[str, str], number: int) -> bool:
    """Give the settled steps of the run that was cut to the one in its place, behind its input. False if
    there are none.
    """
    start = connection.execute(_FIRST_STEP, names).scalar()
    if start is None:
        return False
    first = connection.execute(_LENGTH, {"run": names["run"]}).scalar_one()
    connection.execute(_KEEP_STEPS, {**names, "number": number, "shift": first - start})
    return True


def prune(connection: Connection, now: float) -> int:
    """Delete old keys, and those whose runs are gone: some of them. Returns how many it were.

    `now` is in seconds since 1970.
    """
    old = connection.execute(_STALE, {"before": int(now * 1000) - KEPT_MS}).scalars().all()
    if old:
        connection.execute(delete(idempotency_keys).where(_keys.id.in_(old)))
    return len(old)


def reused() -> IdempotencyKeyReused:
    """For a key that came with another request."""
    return IdempotencyKeyReused(
        "This idempotency key was used for another request. Give each request a key of its own."
    )
