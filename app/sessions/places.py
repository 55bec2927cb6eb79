"""Places of messages in their session, as SQL: the number of a run, and the position in it."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, and_, bindparam, or_, select

from app.sessions.rows import INJECTED
from app.storage.tables import messages, sessions

MAX_DIGITS = 18  # of a message's number

# One that was replaced since a page was read still has its place.
_PLACE = (
    select(messages.c.run_number, messages.c.position)
    .join(sessions, sessions.c.id == messages.c.session)
    .where(sessions.c.key == bindparam("of_key"))
)


def newer(place: Sequence[int]) -> ColumnElement[bool]:
    """Whether a message stands behind that place."""
    run, (number, position) = messages.c.run_number, place
    return and_(run >= number, or_(run > number, messages.c.position > position))


def older(place: Sequence[int]) -> ColumnElement[bool]:
    """Whether a message stands before that place."""
    run, (number, position) = messages.c.run_number, place
    return and_(run <= number, or_(run < number, messages.c.position < position))


def not_behind(place: Sequence[int]) -> ColumnElement[bool]:
    """Whether a message stands at that place or before it."""
    run, (number, position) = messages.c.run_number, place
    return and_(run <= number, or_(run < number, messages.c.position <= position))


def find_place(connection: Connection, session_key: str, message_id: str) -> tuple[int, int] | None:
    """The run's number and the position of the message that clients know by that id, replaced or not."""
    if message_id.isascii() and message_id.isdecimal() and len(message_id) <= MAX_DIGITS:
        statement = _PLACE.where(messages.c.id == int(message_id))
    elif message_id.isascii() and message_id.isalnum():
        statement = _PLACE.where(messages.c.run_id == f"{INJECTED}-{message_id}")
    else:
        return None
    found = connection.execute(statement, {"of_key": session_key}).first()
    return None if found is None else (found[0], found[1])
