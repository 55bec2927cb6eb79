"""The SQL of `store`. Built once: SQLAlchemy then finds the text by identity instead of writing it anew."""

from __future__ import annotations

from sqlalchemy import bindparam, func, or_, select

from app.storage.tables import messages, runs, sessions

COUNT_TURN = (
    sessions.update()
    .where(sessions.c.key == bindparam("of_key"))
    .values(
        turns=sessions.c.turns + 1,
        updated_at=bindparam("now"),
        label=func.coalesce(sessions.c.label, bindparam("new_label")),
    )
    .returning(sessions.c.id, sessions.c.turns)
)
ADD_SESSION = sessions.insert().returning(sessions.c.id, sessions.c.turns)
TOUCH_SESSION = (
    sessions.update().where(sessions.c.id == bindparam("session")).values(updated_at=bindparam("now"))
)

ADD_RUN = runs.insert()
PLACE_OF_RUN = select(runs.c.session, runs.c.turn).where(
    runs.c.id == bindparam("run"), runs.c.state == "running"
)
END_RUN = (
    runs.update()
    .where(runs.c.id == bindparam("run"), runs.c.state == "running")
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

ADD_MESSAGES = messages.insert()
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
HISTORY = TRANSCRIPT.where(
    runs.c.state != "running",
    messages.c.turn < select(runs.c.turn).where(runs.c.id == bindparam("run")).scalar_subquery(),
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
