"""The row by which workers agree on who removes what is too old.

It is a document like others. Its time is when the work may be claimed again; a conditional update gives it to
one worker alone. A worker that dies in the middle has it until that time, and no longer.
"""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, bindparam, select
from sqlalchemy.exc import IntegrityError

from app.sessions.upkeep import RetentionRecord
from app.storage.base import Database, Worker, nothing_settled
from app.storage.tables import documents

NAME = "retention"
RETRY_MS = 5000  # where another worker was quicker

_READ = select(documents.c.content, documents.c.updated_at).where(documents.c.name == NAME)
_ADD = documents.insert().values(
    name=NAME, content=bindparam("new_content"), updated_at=bindparam("new_time")
)
_SET = (
    documents.update()
    .where(documents.c.name == NAME)
    .values(content=bindparam("new_content"), updated_at=bindparam("new_time"))
)
_CLAIM = _SET.where(
    documents.c.updated_at == bindparam("seen_time"), documents.c.content == bindparam("seen")
)


class SqlRetention:
    """Implements `Retention`."""

    def __init__(self, database: Database, worker: Worker) -> None:
        self._database = database
        self._worker = worker

    def claim(self, limits: str, now: int, until: int) -> int:
        """0 if it is this worker's until the time `until`, else how long to wait, in ms."""
        record = RetentionRecord(self._worker.id, limits, now)
        values = {"new_content": _dump(record), "new_time": until}

        def work(connection: Connection) -> int:
            found = connection.execute(_READ).one_or_none()
            if found is None:
                connection.execute(_ADD, values)
                return 0
            last = _load(found.content)
            is_other = last is None or (last.ended_at is not None and last.limits != limits)
            if found.updated_at > now and not is_other:
                return int(found.updated_at) - now
            seen = {"seen": found.content, "seen_time": found.updated_at}
            return 0 if connection.execute(_CLAIM, {**values, **seen}).rowcount == 1 else RETRY_MS

        def settled(connection: Connection) -> int | None:
            found = connection.execute(_READ).one_or_none()
            return 0 if found is not None and found.content == values["new_content"] else None

        try:
            return self._database.write(work, settled=settled)
        except IntegrityError:
            return RETRY_MS  # added at the same moment

    def ended(self, record: RetentionRecord, next_at: int) -> None:
        """This worker has done it; nobody needs to do it again before `next_at`."""
        record.worker = self._worker.id
        values = {"new_content": _dump(record), "new_time": next_at}
        self._database.write(lambda connection: connection.execute(_SET, values), settled=nothing_settled)

    def last(self) -> RetentionRecord | None:
        """The last time that somebody did it, or has begun to."""
        found = self._database.read(lambda connection: connection.execute(_READ).one_or_none())
        return None if found is None else _load(found.content)


def _dump(record: RetentionRecord) -> str:
    return msgspec.json.encode(record).decode()


def _load(text: str) -> RetentionRecord | None:
    try:
        return msgspec.json.decode(text, type=RetentionRecord)
    except msgspec.DecodeError:
        return None
