"""Runs that are stored as this worker's, and that it does not have: nobody would ever end them.

Where the database is away for longer than anything is tried again, the end of a run is not stored, or a new
run is refused that is stored nevertheless. The worker lives, so no other one takes the run over, and the
session's later runs would wait behind it for ever. It is given to nobody, as the run of a dead worker is: the
next look for those interrupts it. Its client has been told that it failed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from contextlib import suppress

from sqlalchemy import literal_column, select

from app.errors import StorageUnavailable
from app.logs.lines import log_event
from app.sessions import statements as sql
from app.storage.base import NOBODY, Database, Stop, Worker, nothing_settled
from app.storage.tables import runs

logger = logging.getLogger("app.sessions")

LOOK_SECONDS = 10.0

# The state is written out, so that the index of running runs is used.
_HERE = select(runs.c.id, runs.c.fence).where(runs.c.state == literal_column("'running'"))
_LEAVE = runs.update().where(*sql.IS_OWN).values(worker=NOBODY, request=None)


class Unattended:
    """`active` gives the ids of the runs that this worker has, those being accepted included."""

    def __init__(self, active: Callable[[], Collection[str]], database: Database, worker: Worker) -> None:
        self._active = active
        self._database = database
        self._worker = worker
        self._found: Collection[str] = ()

    def run(self, stop: Stop) -> None:
        """Look now and then until `stop` is set."""
        while not stop.wait(LOOK_SECONDS):
            with suppress(StorageUnavailable):
                self.look()

    def look(self) -> int:
        """Leave the runs that were here at the last look, too, and that this worker had at neither of them.

        Returns how many those are. A run that has just been taken over is stored before the worker has it.
        """
        own = self._worker.last_id
        statement = _HERE.where(runs.c.worker == own)
        here = dict(self._database.read(lambda connection: list(map(tuple, connection.execute(statement)))))
        active = self._active()
        found = [run_id for run_id in here if run_id not in active]
        lost = [run_id for run_id in found if run_id in self._found]
        self._found = found
        for run_id in lost:
            values = {"run": run_id, "own_worker": own, "own_fence": here[run_id]}
            self._database.write(
                lambda connection, values=values: connection.execute(_LEAVE, values),  # type: ignore[misc]
                settled=nothing_settled,
            )
            log_event(
                logger,
                logging.WARNING,
                "the end of a run could not be stored when the database was away: it is interrupted",
                run_id=run_id,
            )
        return len(lost)
