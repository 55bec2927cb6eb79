"""What stores are built on: a database, the statements it has prepared, and the worker that uses it.

A store writes its statements with SQLAlchemy Core, which names no dialect, and lets the database prepare
those that it runs often. It imports this file alone; which database there is, only `app.bootstrap` knows.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Protocol, TypeVar

from sqlalchemy import ClauseElement, Connection

# Options of a statement whose rows may be large: they come a few at a time, as they are fetched.
STREAMED: Mapping[str, Any] = MappingProxyType({"stream_results": True, "max_row_buffer": 10})

R = TypeVar("R")
Row = tuple[Any, ...]


class PreparedStatement(Protocol):
    """A statement in the words of one database, made once and run often.

    It runs inside whatever transaction `connection` is in, takes the values of all its parameters by name,
    and raises what SQLAlchemy raises. Rows are as the driver gives them, without SQLAlchemy's types.
    """

    @property
    def only_reads(self) -> bool:
        """Whether it is a SELECT."""

    def all(self, connection: Connection, values: Mapping[str, Any]) -> list[Row]:
        """Run it; its rows, if it has any."""

    def one_or_none(self, connection: Connection, values: Mapping[str, Any]) -> Row | None:
        """Run it; its first row, or None."""

    def many(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Run it once with each of `rows`."""


class Database(Protocol):
    """Transactions and reads. Nothing is opened before the first use, nor after `close` until the next one.

    `write`, `read`, `rows`, `scan` and `ping` raise StorageUnavailable for what an operator can repair, and
    let everything else pass unchanged.
    """

    def prepare(self, statement: ClauseElement) -> PreparedStatement:
        """`statement` compiled for this database. Opens nothing.

        An insert names its columns with `.values()`, for what is compiled can take no others later.
        """

    def write(
        self,
        fn: Callable[[Connection], R],
        *,
        bulky: bool = False,
        patient: bool = False,
        alone: str | None = None,
        settled: Callable[[Connection], R | None] | None = None,
    ) -> R:
        """Run `fn` in a transaction of its own, and return what it returns: all of it is stored, or nothing.

        `fn` may run in another thread, and again if the database was locked, went away, or another worker
        added the same row: it must touch nothing but the connection. A statement without rows may fail only
        at a later one. `bulky` says that it has too much to do to run on the event loop; `patient`, that it
        must not be lost while the database is away for a moment. `alone` names a lock: no other write with it
        runs at the same time, in any worker.

        Where the connection breaks at the end of the transaction, only the database knows whether it is
        stored. Then `settled` is asked, in a new one: it returns what `fn` returned if that is stored, else
        None, and `fn` runs again. Without it StorageUnavailable says that it is unknown.
        """

    def read(self, fn: Callable[[Connection], R], *, patient: bool = False) -> R:
        """Run `fn`, which only reads and fetches all rows it wants, and return what it returns.

        It may run again; `patient` as above.
        """

    def scan(self, fn: Callable[[Connection], R]) -> R:
        """The same for a `fn` that may read a lot: it runs in another thread, and the event loop goes on."""

    def rows(
        self, statement: PreparedStatement, values: Mapping[str, Any], *, patient: bool = False
    ) -> list[Row]:
        """The rows of a SELECT that was prepared: the cheapest way to read."""

    def migrate(self) -> tuple[str | None, str]:
        """Bring the tables to the newest version, which the first use does as well.

        Returns the version there was, None if there were no tables, and the one there is. Raises
        StorageUnavailable, also if a newer gateway has written the database.
        """

    def ping(self) -> None:
        """Raise StorageUnavailable unless something can be written now."""

    def close(self) -> None:
        """Close all connections."""


def nothing_settled(_connection: Connection) -> None:
    """The `settled` of a write that may be done twice."""


NOBODY = ""  # the worker of a run that was given up: dead from the start


class Worker(Protocol):
    """This process, as one of those that run agents on the same database."""

    @property
    def id(self) -> str:
        """Its name, which no other process has had or will have.

        Raises StorageUnavailable: it has none now, as others may count it as dead.
        """

    @property
    def last_id(self) -> str:
        """The same, also while others may count it as dead: for writes that the database refuses then."""

    def check(self) -> None:
        """Raise LeaseLost if others count this process as dead, or may do so: it must begin nothing then.

        May ask the database. Raises StorageUnavailable, too.
        """

    def is_alive(self, worker_id: str) -> bool:
        """Whether the process of that name still runs."""

    def dead(self, among: Collection[str]) -> list[str]:
        """Those of the names `among` that look dead. Raises StorageUnavailable."""

    def bury(self, connection: Connection, among: Collection[str]) -> list[str]:
        """Those that are dead, and stay so if the transaction of `connection` is stored."""

    def when_lost(self, listener: Callable[[], object]) -> None:
        """Call `listener` each time others have declared this process dead while it lives."""

    def run(self, stop: Stop) -> None:
        """Do what keeps this process alive for others, until `stop` is set. For a greenlet of its own."""

    def remove_stale(self) -> int:
        """Remove what dead workers left. Returns how many there were."""

    def close(self) -> None:
        """Give the name up: this process counts as dead from here on, until it asks for `id` again."""


class Stop(Protocol):
    """`threading.Event` is one."""

    def wait(self, timeout: float | None = None) -> bool: ...
