"""The SQL of `store`. Built once; what every turn of a conversation runs is made ready for the driver."""

from __future__ import annotations

from sqlalchemy import bindparam, func, or_, select

from app.storage.sqlite.prepared import Prepared
from app.storage.tables import messages, runs, sessions

COUNT_TURN = Prepared(
    sessions.update()
    .where(sessions.c.key == bindparam("of_key"))
    .values(turns=sessions.c.turns + 1, updated_at=bindparam("now"))
    .returning(sessions.c.id, sessions.c.turns, sessions.c.label)
)
# Apart from the turn, which would write a page of the labels' index each time.
ADD_LABEL = Prepared(
    sessions.update().where(sessions.c.id == bindparam("session")).values(label=bindparam("new_label"))
)
ADD_SESSION = Prepared(
    sessions.insert().returning(sessions.c.id, sessions.c.turns, sessions.c.label),
    *("key", "agent_id", "label", "session_id", "turns", "created_at", "updated_at"),
)
TOUCH_SESSION = Prepared(
    sessions.update().where(sessions.c.id == bindparam("session")).values(updated_at=bindparam("now"))
)

ADD_RUN = Prepared(
    runs.insert(), *("id", "session", "turn", "owner", "source", "state", "started_at", "ended_at")
)
PLACE_OF_RUN = select(runs.c.session, runs.c.turn).where(
    runs.c.id == bindparam("run"), runs.c.state == "running"
)
END_RUN = Prepared(
    runs.update()
    .where(runs.c.id == bindparam("run"), runs.c.state == "running")
    .values(
        {
            name: bindparam(f"new_{name}")
            for name in (
                *("state", "ended_at", "finish_reason", "error_code", "error_message", "model"),
                *("prompt_tokens", "completion_tokens", "usage_estimated"),
            )
        }
    )
    .returning(
        runs.c.session,
        runs.c.turn,
        select(func.count()).where(messages.c.run_id == bindparam("run")).scalar_subquery(),
    )
)
RUNNING_OWNERS = select(runs.c.owner).where(runs.c.state == "running").distinct()
INTERRUPT = (
    runs.update()
    .where(runs.c.owner == bindparam("of_owner"), runs.c.state == "running")
    .values(state="interrupted", ended_at=bindparam("now"))
)

ADD_MESSAGES = Prepared(
    messages.insert(),
    *("session", "run_id", "turn", "position", "role", "content", "state", "created_at"),
)
DROP_MESSAGES = messages.delete().where(messages.c.run_id == bindparam("run"))
MARK_REPLACED = (
    messages.update().where(messages.c.id == bindparam("message")).values(replaced_by=bindparam("run"))
)

TRANSCRIPT = (
    select(
        messages.c.id,
        messages.c.turn,
        messages.c.role,
        messages.c.content,
        messages.c.state,
        runs.c.state,
    )
    .join(sessions, sessions.c.id == messages.c.session)
    .join(runs, runs.c.id == messages.c.run_id)
    .where(sessions.c.key == bindparam("key"), messages.c.replaced_by.is_(None))
    .order_by(messages.c.turn, messages.c.position)
)
# A later run that was given up in the queue is not part of what came before.
HISTORY = Prepared(
    TRANSCRIPT.where(
        runs.c.state != "running",
        messages.c.turn < select(runs.c.turn).where(runs.c.id == bindparam("run")).scalar_subquery(),
    )
)

STALE = (
    select(sessions.c.id)
    .where(
        or_(
            sessions.c.updated_at < bindparam("before"),
            sessions.c.id.not_in(
                select(sessions.c.id)
                .order_by(sessions.c.updated_at.desc(), sessions.c.id.desc())
                .limit(bindparam("keep"))
            ),
        ),
        ~select(runs.c.id).where(runs.c.session == sessions.c.id, runs.c.state == "running").exists(),
    )
    .limit(bindparam("batch"))
)
DELETE_SESSION = sessions.delete().where(sessions.c.id == bindparam("session"))
DELETE_BY_KEY = sessions.delete().where(sessions.c.key == bindparam("of_key"))
