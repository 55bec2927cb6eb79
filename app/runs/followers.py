"""Those who wait for a run. One that was started to end with them is stopped when the last one has left."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from app.errors import GatewayError, RunAborted
from app.runs.request import RunRequest

IsFollowed = Callable[[str], bool]


class Followed(Protocol):
    """A run. `is_followed_elsewhere` says of its id whether somebody waits for it on another worker."""

    id: str
    request: RunRequest
    followers: int
    is_followed_elsewhere: IsFollowed

    @property
    def ended(self) -> bool: ...

    def abort(self, error: GatewayError) -> bool: ...


def by_nobody(_run_id: str) -> bool:
    """For a gateway of one worker."""
    return False


class Leaving:
    """Somebody who waits: it has left when `leave` is called, or when its block ends."""

    def leave(self) -> None:
        """It waits no more. Only the first call counts."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()


class Follower(Leaving):
    """One of those who wait for a run of this worker."""

    def __init__(self, run: Followed, why: GatewayError | None) -> None:
        self._run = run
        self._why = why
        self._is_here = True
        run.followers += 1

    def leave(self) -> None:
        """Abort the run, if nobody else waits for it and it was started to end then."""
        if not self._is_here:
            return
        self._is_here = False
        run = self._run
        run.followers -= 1
        if run.followers > 0 or run.request.on_disconnect != "abort" or run.ended:
            return
        if not run.is_followed_elsewhere(run.id) and run.followers <= 0:
            run.abort(self._why or RunAborted("Nobody waits for this run any more."))
