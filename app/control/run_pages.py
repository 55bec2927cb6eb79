"""Lists of runs, whichever worker has them, the newest first.

The database gives the stored ones page by page. Those that are not stored are few, as they are forgotten soon
after their end: each worker gives all that it remembers, and they are put in their places.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from app.cluster.ask import Workers
from app.cluster.base import Message
from app.control.run_views import (
    STATES,
    UNENDED,
    RunView,
    State,
    view_of_ended,
    view_of_run,
    view_of_stored,
)
from app.errors import UnsupportedValue
from app.runs.service import RunService
from app.sessions.keys import is_visible
from app.sessions.run_rows import Outcome, RunFilter, RunIndex, RunPosition
from app.storage.base import Worker

MAX_UNENDED = 10_000  # runs; far more than workers take


class Wanted(msgspec.Struct, frozen=True):
    """The runs that meet every condition which is not None. `owner`: whose they are."""

    owner: str | None = None
    session_key: str | None = None
    state: State | None = None
    ids: tuple[str, ...] | None = None

    def has(self, run: RunView) -> bool:
        """Whether the run meets them."""
        return (
            is_visible(run.session_key, self.owner)
            and self.session_key in (None, run.session_key)
            and self.state in (None, run.state)
            and (self.ids is None or run.id in self.ids)
        )


class RunPage(NamedTuple):
    """Some runs, and where the next page goes on; None if there is none."""

    runs: Sequence[RunView]
    next: RunPosition | None


class RunPages:
    """`page` raises StorageUnavailable, and ClusterUnavailable: other workers cannot be asked."""

    def __init__(self, runs: RunService, index: RunIndex, worker: Worker, workers: Workers) -> None:
        self._runs = runs
        self._index = index
        self._worker = worker
        self._workers = workers
        workers.answer("run.list", self._answer_list)

    def page(self, wanted: Wanted, limit: int, after: RunPosition | None = None) -> RunPage:
        """The newest runs, or those behind the place `after`; their tools are left out."""
        remembered = {one.id: one for one in self._remembered(wanted)}
        found = [one for one in remembered.values() if not one.is_stored]
        found += self._stored(wanted, limit, after, remembered)
        found = [one for one in found if wanted.has(one) and (after is None or one.place < after)]
        found.sort(key=lambda one: one.place, reverse=True)
        page = found[:limit]
        return RunPage(page, page[-1].place if len(found) > limit else None)

    def _stored(
        self, wanted: Wanted, limit: int, after: RunPosition | None, remembered: Mapping[str, RunView]
    ) -> list[RunView]:
        """Those of the database, one more than fit; as their worker sees them if they go on."""
        unended = wanted.state in UNENDED
        outcome: Outcome | None = "unended" if unended else wanted.state  # type: ignore[assignment]
        where = RunFilter(wanted.owner, wanted.session_key, outcome, wanted.ids)
        # Which of the unended ones still wait, only their workers know.
        rows = self._index.page(MAX_UNENDED if unended else limit + 1, None if unended else after, where)
        views = []
        for row in rows:
            known = None if row.has_ended else remembered.get(row.id)
            if known is not None:
                views.append(msgspec.structs.replace(known, created_at=row.accepted_at, is_stored=True))
            else:
                is_dead = not row.has_ended and not self._worker.is_alive(row.worker)
                views.append(view_of_stored(row, (), None, is_dead=is_dead))
        return views

    def _remembered(self, wanted: Wanted) -> Iterable[RunView]:
        yield from self._here(wanted)
        question = {"wanted": msgspec.to_builtins(wanted)}
        for reply in self._workers.ask("run.list", question):
            yield from (msgspec.convert(one, RunView) for one in reply["runs"])

    def _here(self, wanted: Wanted) -> Iterable[RunView]:
        """What this process remembers: its runs that go on, and those that have ended and are not stored."""
        owner, key = wanted.owner, wanted.session_key
        for run in self._runs.active:
            if not run.ended and is_visible(run.session_key, owner) and key in (None, run.session_key):
                yield _brief(view_of_run(run))
        for ended in self._runs.ledger.all():
            if not ended.is_stored:
                view = view_of_ended(ended, None)
                if wanted.has(view):
                    yield view

    def _answer_list(self, question: Message) -> Mapping[str, Any]:
        wanted = msgspec.convert(question["wanted"], Wanted)
        return {"runs": [msgspec.to_builtins(one) for one in self._here(wanted)]}


def _brief(run: RunView) -> RunView:
    return msgspec.structs.replace(run, tools=())


def load_state(word: str | None) -> State | None:
    """Raises UnsupportedValue."""
    if word is not None and word not in STATES:
        raise UnsupportedValue(f"`state` must be one of: {', '.join(STATES)}.", param="state")
    return word
