"""Short runs on a store, for tests."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import column as column_of
from sqlalchemy import select

from app.ids import new_uuid
from app.messages import Message
from app.sessions.base import SessionStore
from app.sessions.stored import StoredMessage
from app.storage.tables import runs

HI, HELLO, MORE, THERE = (
    Message("user", "hi"),
    Message("assistant", "hello"),
    Message("user", "more"),
    Message("assistant", "there"),
)


def accept(store: SessionStore, run_id: str, *messages: Message, key: str = "k") -> int:
    return store.runs.accept(run_id, key, "main", None, "http", messages or [HI]).number


def answer(store: SessionStore, run_id: str, *messages: Message) -> bool:
    return store.runs.finish(run_id, "finished", [(message, "complete") for message in messages or [HELLO]])


def finished(store: SessionStore, key: str, question: str = "hi", said: str = "hello") -> str:
    """A whole turn in that session; the run's id."""
    run_id = new_uuid()
    accept(store, run_id, Message("user", question), key=key)
    answer(store, run_id, Message("assistant", said))
    return run_id


def messages_in(kept: Sequence[StoredMessage]) -> list[Message]:
    return [one.message for one in kept]


def column(database, name: str, run_id: str) -> object:
    query = select(column_of(name)).select_from(runs).where(runs.c.id == run_id)
    return database.read(lambda connection: connection.execute(query).scalar())
