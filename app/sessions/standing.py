"""Where runs stand, and who goes on with them: what lanes and workers need of the store."""

from __future__ import annotations

from typing import Protocol

from app.sessions.stored import LeftRun, RunPlace


class RunPlaces(Protocol):
    """A part of `RunStore`. What changes a run carries its `fence`, as all writes of a run do."""

    def begin(self, run_id: str, fence: int = 1) -> bool:
        """Store that the run has left its queue. False if nothing was stored."""

    def place(self, run_id: str, fence: int = 1) -> RunPlace | None:
        """Where the run stands now; None if it is not there any more."""

    def unended(self, session_key: str) -> list[str]:
        """The ids of the session's runs that have not ended, in their order, whichever worker has them."""

    def left(self, run_id: str) -> LeftRun:
        """What is stored of a run that has not ended: for the worker that goes on with it."""

    def give_up(self, run_id: str, fence: int = 1) -> bool:
        """Let another worker go on with the run. False if nobody else may, or it is not ours any more."""

    def keep(self, run_id: str, fence: int = 1) -> bool:
        """From now on nobody else may go on with the run. False if it is not ours any more."""
