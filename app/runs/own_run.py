"""A run's own part of the store. What it cannot store any more it must not go on with.

Each write says whether the run still is this worker's. If it is not, the error that says why comes out of the
write, before a tool is started or a model called: another worker has the run, or its session was reset.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from app.agents.answer import Answer, AnswerMessage
from app.concurrency.background import spawn
from app.errors import ServiceUnavailable
from app.messages import Message
from app.sessions.base import RunStore
from app.sessions.shared_lanes import check_own
from app.sessions.stored import AcceptedRun, RunState, StoredMessage


class OwnRun:
    """`check` raises LeaseLost if this process may count as dead by now. `ends_when_shown`: another worker
    may go on with the run only until its client has seen some of the answer (`show`). All methods that store
    raise LeaseLost and RunAborted if the run is not ours any more, and StorageUnavailable.
    """

    def __init__(
        self,
        store: RunStore,
        check: Callable[[], object],
        run_id: str,
        session_key: str,
        accepted: AcceptedRun,
        *,
        ends_when_shown: bool = False,
    ) -> None:
        self._store = store
        self._check = check
        self._run_id = run_id
        self._session_key = session_key
        self._accepted = accepted
        self.ends_when_shown = ends_when_shown

    @property
    def fence(self) -> int:
        """What each write carries."""
        return self._accepted.fence

    def begin(self) -> None:
        """The run is out of its queue."""
        if not self._accepted.has_begun:
            self._confirm(self._store.begin(self._run_id, self.fence))

    def history(self) -> list[StoredMessage]:
        """The messages of the session's earlier runs."""
        return self._store.history(self._session_key, self._run_id)

    def reconcile(self, replaced: Sequence[int], messages: Sequence[Message]) -> None:
        """See `RunStore.reconcile`."""
        self._confirm(self._store.reconcile(self._run_id, replaced, messages, self.fence))

    def mark_unpaired(self, stored: Sequence[int], own: Sequence[int]) -> None:
        """See `RunStore.mark_unpaired`."""
        self._store.mark_unpaired(self._run_id, stored, own, self.fence)

    def append(self, answer: Answer, entries: Sequence[AnswerMessage]) -> None:
        """Store messages of a run that goes on, and what its `answer` has used: what its tools do is not
        forgotten if the process dies.
        """
        stored = self._store.append(self._run_id, entries, self.fence, answer.model, answer.usage)
        self._confirm(stored)
        self._check()  # the process may have stood still since

    def show(self) -> None:
        """Its client has seen something that no other worker could go on with: none does, from now on."""
        spawn(self._keep)

    def _keep(self) -> None:
        with suppress(ServiceUnavailable):
            self._store.keep(self._run_id, self.fence)

    def finish(self, state: RunState, entries: Sequence[AnswerMessage], **end: Any) -> None:
        """See `RunStore.finish`."""
        self._confirm(self._store.finish(self._run_id, state, entries, fence=self.fence, **end))

    def fail(self, state: RunState, entries: Sequence[AnswerMessage], **end: Any) -> None:
        """The same for a run that has failed: if it is not ours any more, that makes no difference to it."""
        self._store.finish(self._run_id, state, entries, fence=self.fence, **end)

    def _confirm(self, is_stored: bool) -> None:
        if not is_stored:
            check_own(self._store.place(self._run_id, self.fence))
