"""A connection to PostgreSQL whose statements go out together wherever their results are not waited for.

Each round trip to the server costs the worker more than the statement itself: so `BEGIN`, statements without
rows and `COMMIT` are kept until something has to be known, and then sent at once (libpq's pipeline mode). A
transaction of a run is two round trips in this way, however many statements it has:

    BEGIN · UPDATE sessions … RETURNING          the number of the run is wanted
    INSERT runs · INSERT messages · COMMIT       whether it is stored is wanted

A failure of a statement without rows is raised by the next one that is waited for, or by the COMMIT.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import psycopg
from psycopg import pq
from psycopg.abc import PQGen
from psycopg.adapt import Transformer

from app.concurrency.socket_wait import SocketWait
from app.storage.base import Row

IDLE, _ACTIVE = pq.TransactionStatus.IDLE, pq.TransactionStatus.ACTIVE
_OK, _SYNC, _FATAL = pq.ConnStatus.OK, pq.ExecStatus.PIPELINE_SYNC, pq.ExecStatus.FATAL_ERROR
_ABORTED = pq.ExecStatus.PIPELINE_ABORTED
_READ, _BOTH = psycopg.waiting.WAIT_R, psycopg.waiting.WAIT_RW


@dataclass(frozen=True, slots=True)
class Command:
    """A statement with `$1` in the places of its values. The server keeps its plan under `name`, if any."""

    text: bytes
    name: bytes = b""


BEGIN, COMMIT = Command(b"BEGIN"), Command(b"COMMIT")
LOCK = Command(b"SELECT pg_advisory_xact_lock(hashtextextended($1::text, 0))")

MAX_QUEUED = 500  # statements
MAX_QUEUED_BYTES = 1024 * 1024

_Queued = tuple[Command, Sequence[bytes | None]]


class PipelinedConnection(psycopg.Connection[Any]):
    """psycopg's connection, in autocommit; `begin` and `commit` make transactions.

    All that it waits for ends by `deadline`, on the monotonic clock, or each within `seconds_each`: then it
    is closed, for nobody knows what the server has made of the last statement.
    """

    deadline = 0.0
    seconds_each: float | None = None  # for each statement, where a whole transaction may take long
    commit_sent = False  # of the present transaction: whether it is stored may be known to the server alone
    used_at = 0.0

    def __init__(self, pgconn: pq.abc.PGconn, *args: Any) -> None:
        super().__init__(pgconn, *args)
        self._socket: SocketWait | None = None
        self._queue: list[_Queued] = []
        self._queued_bytes = 0
        self._plans: set[bytes] = set()
        self._loader = Transformer(self)

    def set_up(self, deadline: float, *, native: bool = False) -> None:
        """Wait in our own way from now on. `native`: it is used in a native thread alone."""
        self._socket = SocketWait(self.pgconn.socket, native=native)
        self.deadline = deadline

    def wait(self, gen: PQGen[Any], *_intervals: Any, **_more: Any) -> Any:
        """Drive what reads from and writes to the server, with our own deadline. (psycopg's `wait`)"""
        if self._socket is None:
            return super().wait(gen)
        try:
            wanted = next(gen)
            while True:
                seconds = self.seconds_each or self.deadline - time.monotonic()
                wanted = gen.send(self._socket.wait(wanted, seconds))
        except StopIteration as end:
            return end.value
        except TimeoutError:
            self.close()
            raise psycopg.OperationalError("the server did not answer in time") from None
        except psycopg.Error as error:
            without_values(error)
            raise

    def cursor(self, name: Any = "", *args: Any, **kwargs: Any) -> Any:
        """psycopg's cursor, for statements that SQLAlchemy sends. One with a name, whose rows stay with the
        server until they are fetched, is part of a transaction: it begins one.
        """
        if name and self.pgconn.transaction_status == IDLE and not self._queue:
            self.begin()
        if self._queue:
            self._send()
        return super().cursor(name, *args, **kwargs)

    def begin(self, *locks: str) -> None:
        """Begin a transaction, with a lock of each of these names for as long as it lasts."""
        self.commit_sent = False
        self._queue.append((BEGIN, ()))
        for lock in locks:
            self._queue.append((LOCK, (lock.encode(),)))

    def queue(self, command: Command, values: Sequence[bytes | None]) -> None:
        """Send it with the next one whose rows are wanted, with the COMMIT, or when there are many."""
        self._queue.append((command, values))
        self._queued_bytes += sum(len(value) for value in values if value is not None)
        if self._queued_bytes > MAX_QUEUED_BYTES or len(self._queue) > MAX_QUEUED:
            self._send()

    def rows(self, command: Command, values: Sequence[bytes | None]) -> list[Row]:
        """Send it behind what is queued, and return its rows."""
        self._queue.append((command, values))
        result = self._send()
        self._loader.set_pgresult(result)
        rows = self._loader.load_rows(0, result.ntuples, tuple)
        self._loader.set_pgresult(None)
        return rows

    def commit(self) -> None:
        """Send what is queued, and COMMIT. Nothing to do outside a transaction."""
        if self._queue and self._queue[0][0] is BEGIN and len(self._queue) == 1:
            self._queue.clear()  # it had nothing to do
        if self._queue or self.pgconn.transaction_status != IDLE:
            self._queue.append((COMMIT, ()))
            self.commit_sent = True
            result = self._send()
            if result.command_status == b"ROLLBACK":
                raise psycopg.errors.InFailedSqlTransaction("a statement of the transaction had failed")

    def rollback(self) -> None:
        """Forget what is queued, and the transaction. One that is in the middle of a statement is closed."""
        self._queue.clear()
        pgconn = self.pgconn
        if pgconn.status != _OK or pgconn.transaction_status == IDLE:
            return
        if pgconn.transaction_status == _ACTIVE or pgconn.pipeline_status:
            self.close()
        else:
            super().rollback()

    @property
    def is_clean(self) -> bool:
        """Whether it is open, and in no transaction."""
        pgconn = self.pgconn
        is_open = not self.closed and pgconn.status == _OK
        return is_open and pgconn.transaction_status == IDLE and not pgconn.pipeline_status

    def close(self) -> None:
        """Close it."""
        if self._socket is not None:
            self._socket.close()
        super().close()

    def _send(self) -> pq.abc.PGresult:
        """Send what is queued; the last one's result."""
        queued, self._queue, self._queued_bytes = self._queue, [], 0
        result: pq.abc.PGresult = self.wait(self._exchange(queued))
        return result

    def _exchange(self, queued: Sequence[_Queued]) -> PQGen[pq.abc.PGresult]:
        pgconn = self.pgconn
        self._check_connection_ok()
        pgconn.enter_pipeline_mode()
        answered = list(self._hand_over(queued))
        pgconn.pipeline_sync()
        while pgconn.flush():
            if (yield _BOTH) & _READ:
                pgconn.consume_input()
        result, failure = yield from self._answers(answered)
        if failure is None or pgconn.status == _OK:
            end = yield from self._next_result()
            if end is not None and end.status == _SYNC:
                pgconn.exit_pipeline_mode()
            else:  # the server ends the connection, behind all answers
                failure = failure or end
        if failure is not None:
            raise psycopg.errors.error_from_result(failure)
        if result is None or pgconn.pipeline_status:
            raise psycopg.OperationalError("the server's answers are incomplete")
        return result

    def _answers(
        self, answered: Sequence[Callable[[], object] | None]
    ) -> PQGen[tuple[pq.abc.PGresult | None, pq.abc.PGresult | None]]:
        """The last result and the first failure, as far as the connection holds."""
        result: pq.abc.PGresult | None = None
        failure: pq.abc.PGresult | None = None
        for then in answered:
            result = yield from self._next_result()
            if result is None:
                break
            if result.status in (_FATAL, _ABORTED):
                failure = failure or result
            elif then is not None:
                then()
            if self.pgconn.status != _OK or (yield from self._next_result()) is not None:
                break
        return result, failure

    def _hand_over(self, queued: Sequence[_Queued]) -> Iterator[Callable[[], object] | None]:
        """Give libpq all of it; for each answer to come, what to do if it is a success."""
        pgconn, planned = self.pgconn, set(self._plans)
        for command, values in queued:
            name = command.name
            if not name:
                pgconn.send_query_params(command.text, values)
            else:
                if name not in planned:
                    pgconn.send_prepare(name, command.text)
                    planned.add(name)
                    yield partial(self._plans.add, name)
                pgconn.send_query_prepared(name, values)
            yield None

    def _next_result(self) -> PQGen[Any]:
        """The next result; None between those of two commands."""
        pgconn = self.pgconn
        while pgconn.is_busy():
            yield _READ
            pgconn.consume_input()
        return pgconn.get_result()


def without_values(error: psycopg.Error) -> None:
    """Drop the lines of the server's message that repeat what was to be stored, such as its `DETAIL`."""
    primary = error.diag.message_primary
    if primary:
        error.args = (primary, *error.args[1:])
