"""The SQL of a run, and what it shares with other parts of the store. SQLAlchemy Core: any dialect's."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Text, bindparam, case, cast, func, literal_column, null, select

from app.storage.base import NOBODY
from app.storage.tables import messages, runs, sessions

# The space that a session's key lies in (`app.sessions.keys.space_of`); for a session of the operator, empty.
# Exactly where a space stands: a name that has the same text further back does not count.
_AFTER_AGENT = func.length(sessions.c.agent_id) + len("agent::") + 1
SPACE: ColumnElement[str] = case(
    (func.substr(sessions.c.key, _AFTER_AGENT, 3) == "of:", func.substr(sessions.c.key, _AFTER_AGENT, 36)),
    else_="",
)

SETTINGS = select(cast(sessions.c.settings, Text)).where(sessions.c.key == bindparam("key"))

# How many runs of the session have not ended: in a transaction that holds the session's lock, see `accept`.
# For SQLite, SQLAlchemy writes columns behind RETURNING without their tables: `id` alone would be the run's.
_UNENDED = (
    select(func.count())
    .select_from(runs)
    .where(runs.c.session == literal_column("sessions.id"), runs.c.state == "running")
    .scalar_subquery()
)
COUNT_RUN = (
    sessions.update()
    .where(sessions.c.key == bindparam("of_key"))
    .values(run_count=sessions.c.run_count + 1, updated_at=bindparam("now"))
    .returning(sessions.c.id, sessions.c.run_count, sessions.c.label, _UNENDED)
)
# Apart from COUNT_RUN, which would otherwise write a page of the labels' index for each run.
ADD_LABEL = (
    sessions.update().where(sessions.c.id == bindparam("session")).values(label=bindparam("new_label"))
)
ADD_SESSION = (
    sessions.insert()
    .values(
        {
            name: bindparam(name)
            for name in (
                *("key", "agent_id", "label", "session_id", "run_count", "created_at", "updated_at"),
                "hidden",
            )
        }
    )
    .returning(sessions.c.id, sessions.c.run_count, sessions.c.label)
)
TOUCH_SESSION = (
    sessions.update().where(sessions.c.id == bindparam("session")).values(updated_at=bindparam("now"))
)

ADD_RUN = runs.insert().values(
    {
        name: bindparam(name)
        for name in (
            *("id", "session", "run_number", "worker", "source", "state", "started_at", "ended_at"),
            *("dequeued_at", "request"),
        )
    }
)
# A run that goes on, as long as it is the writer's: every write of a run has this condition.
IS_OWN = (
    runs.c.id == bindparam("run"),
    runs.c.state == "running",
    runs.c.worker == bindparam("own_worker"),
    runs.c.fence == bindparam("own_fence"),
)
PLACE_OF_RUN = select(runs.c.session, runs.c.run_number).where(*IS_OWN).with_for_update()
_MESSAGES_OF_RUN = select(func.count()).where(messages.c.run_id == bindparam("run")).scalar_subquery()
# Returns the run's place, and how many messages it has already: its answer stands behind them.
END_RUN = (
    runs.update()
    .where(*IS_OWN)
    .values(
        {
            name: bindparam(f"new_{name}")
            for name in (
                *("state", "ended_at", "finish_reason", "error_code", "error_message", "model"),
                *("prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens"),
                "usage_estimated",
            )
        }
        | {"request": null()}
    )
    .returning(runs.c.session, runs.c.run_number, _MESSAGES_OF_RUN)
)
# The same of a run that goes on.
END_OF_RUN = PLACE_OF_RUN.add_columns(_MESSAGES_OF_RUN)
KEEP_USAGE = (
    runs.update()
    .where(runs.c.id == bindparam("run"))
    .values(
        {
            name: bindparam(f"new_{name}")
            for name in (
                *("model", "prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens"),
                "usage_estimated",
            )
        }
    )
)
# Of a run that somebody else may go on with: nobody has it from now on; and one that nobody may any more.
GIVE_UP_RUN = (
    runs.update().where(*IS_OWN, runs.c.request.is_not(None)).values(worker=NOBODY).returning(runs.c.id)
)
KEEP_RUN = runs.update().where(*IS_OWN).values(request=None).returning(runs.c.id)
OWN_MESSAGES = (
    select(messages.c.role, messages.c.content, messages.c.state)
    .where(messages.c.run_id == bindparam("run"), messages.c.replaced_by.is_(None))
    .order_by(messages.c.position)
)
# With those that something has replaced since: what was answered once is answered again.
# Its rows become `StoredMessage`s with `app.sessions.rows.load_stored`.
MESSAGES_OF_RUN = (
    select(
        messages.c.id,
        messages.c.run_number,
        messages.c.role,
        messages.c.content,
        messages.c.state,
        runs.c.state,
    )
    .join(runs, runs.c.id == messages.c.run_id)
    .where(messages.c.run_id == bindparam("run"))
    .order_by(messages.c.position)
)
KNOWN_OF_RUN = select(
    runs.c.model,
    runs.c.prompt_tokens,
    runs.c.completion_tokens,
    runs.c.cached_tokens,
    runs.c.reasoning_tokens,
    runs.c.usage_estimated,
).where(runs.c.id == bindparam("run"))
BEGIN_RUN = runs.update().where(*IS_OWN).values(dequeued_at=bindparam("now")).returning(runs.c.id)

_earlier = runs.alias("earlier")
_BEFORE = (
    select(func.count())
    .select_from(_earlier)
    .where(
        _earlier.c.session == runs.c.session,
        _earlier.c.state == "running",
        _earlier.c.run_number < runs.c.run_number,
    )
    .correlate(runs)
    .scalar_subquery()
)
STANDING_OF_RUN = select(runs.c.state, runs.c.worker, runs.c.fence, _BEFORE).where(
    runs.c.id == bindparam("run")
)
UNENDED_OF_SESSION = (
    select(runs.c.id)
    .join(sessions, sessions.c.id == runs.c.session)
    .where(sessions.c.key == bindparam("key"), runs.c.state == "running")
    .order_by(runs.c.run_number)
)

ADD_MESSAGES = messages.insert().values(
    {
        name: bindparam(name)
        for name in ("session", "run_id", "run_number", "position", "role", "content", "state", "created_at")
    }
)
DROP_MESSAGES = messages.delete().where(messages.c.run_id == bindparam("run"))
MARK_REPLACED = (
    messages.update().where(messages.c.id == bindparam("message")).values(replaced_by=bindparam("run"))
)
MARK_UNPAIRED = messages.update().where(messages.c.id == bindparam("message")).values(state="unpaired")
MARK_INPUT_UNPAIRED = (
    messages.update()
    .where(messages.c.run_id == bindparam("run"), messages.c.position == bindparam("place"))
    .values(state="unpaired")
)

# Its rows become `StoredMessage`s with `app.sessions.rows.load_stored`.
CONVERSATION = (
    select(
        messages.c.id,
        messages.c.run_number,
        messages.c.role,
        messages.c.content,
        messages.c.state,
        runs.c.state,
    )
    .join(sessions, sessions.c.id == messages.c.session)
    .join(runs, runs.c.id == messages.c.run_id)
    .where(sessions.c.key == bindparam("key"), messages.c.replaced_by.is_(None))
    .order_by(messages.c.run_number, messages.c.position)
)
# Only runs before this one: a later one may have ended first, when it was stopped in the queue.
HISTORY = CONVERSATION.where(
    runs.c.state != "running",
    messages.c.run_number < select(runs.c.run_number).where(runs.c.id == bindparam("run")).scalar_subquery(),
)
