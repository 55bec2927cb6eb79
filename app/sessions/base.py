"""What sessions are to those who use them: to runs, to operators, and to the gateway's own upkeep.

Runs know `RunStore` alone. What an operator sees and sets is apart from it, so that a store for runs can be
written without it. All methods raise StorageUnavailable; each is one transaction. Times are milliseconds
since 1970 unless it says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from app.messages import Message, Usage
from app.sessions.browsing import MAX_PAGE, SessionPages
from app.sessions.orphans import Decide, TakenOver
from app.sessions.portable import SessionCopies
from app.sessions.remembered import RunOutcomes
from app.sessions.rows import (
    ANY,
    FoundMessage,
    MessageCount,
    RunUsage,
    SessionFilter,
    StoredSession,
    TranscriptRow,
    UsageRow,
)
from app.sessions.run_rows import RunIndex
from app.sessions.standing import RunPlaces
from app.sessions.stored import (
    PLAIN_RUN,
    AcceptedRun,
    MessageState,
    NewRun,
    RunState,
    StoredMessage,
)
from app.sessions.upkeep import Pruned, Retention


class RunStore(RunPlaces, Protocol):
    """What a run needs: its session's settings and history, and a place for its own messages."""

    def settings_of(self, session_key: str) -> Mapping[str, Any]:
        """What was set for the session; an empty mapping for an unknown one. Asked for each run."""

    def accept(
        self,
        run_id: str,
        session_key: str,
        agent_id: str,
        label: str | None,
        source: str,
        messages: Sequence[Message],
        details: NewRun = PLAIN_RUN,
    ) -> AcceptedRun:
        """Store a new run with its input, and its session if there is none. `label` names an unnamed session.

        The session's runs are accepted one after the other: each finds all earlier ones. Binds the key, if
        `details` have one (`app.sessions.bound_keys`). Raises KeyInUse (the key's run has this request's
        answer, or is coming to it), IdempotencyKeyReused (the key is another request's, or a run has or had
        that id) and SessionBusy (the queue is full).
        """

    def history(self, session_key: str, run_id: str) -> list[StoredMessage]:
        """The messages of earlier runs that have ended, oldest first, without those that were replaced."""

    # A write of a run carries the `fence` that the run was accepted or taken over with. It changes nothing
    # if the run has ended, its session was deleted or reset, or another worker has the run by now.

    def reconcile(
        self, run_id: str, replaced: Sequence[int], messages: Sequence[Message], fence: int = 1
    ) -> bool:
        """Mark the messages with the ids `replaced` as replaced by this run; `messages` become its input.

        False if nothing was stored.
        """

    def append(
        self,
        run_id: str,
        messages: Sequence[tuple[Message, MessageState]],
        fence: int = 1,
        model: str | None = None,
        usage: Usage | None = None,
    ) -> bool:
        """Store messages of a run that goes on, and what it has used so far. False if nothing was stored."""

    def mark_unpaired(self, run_id: str, stored: Sequence[int], own: Sequence[int], fence: int = 1) -> None:
        """Mark as unpaired the messages with the ids `stored`, and the run's own at the positions `own`."""

    def finish(
        self,
        run_id: str,
        state: RunState,
        messages: Sequence[tuple[Message, MessageState]],
        finish_reason: str | None = None,
        error_code: str | None = None,
        error_message: str | None = None,
        model: str | None = None,
        usage: Usage | None = None,
        fence: int = 1,
        patient: bool = True,
    ) -> bool:
        """Store the answer and end the run; `patient`: try for long. False if nothing was stored."""


class SessionIndex(Protocol):
    """The sessions there are: found, shown, set, reset and deleted."""

    def sessions(
        self, limit: int, offset: int = 0, where: SessionFilter = ANY, *, with_texts: bool = False
    ) -> list[StoredSession]:
        """The sessions used last, newest first; with title and preview only if `with_texts`."""

    def count(self, where: SessionFilter = ANY) -> int:
        """How many sessions meet the conditions."""

    def describe(self, session_key: str) -> StoredSession | None:
        """That session, title and preview included; None if there is none."""

    def patch(self, session_key: str, agent_id: str, changes: Mapping[str, Any]) -> StoredSession:
        """Set some settings, and the label if it is among them; None clears one. Makes a missing session.

        Raises InvalidRequest: another session has the label.
        """

    def reset(self, session_key: str) -> bool:
        """Empty the conversation and keep the settings. A run still going on stores nothing more in it.

        False if there is no such session.
        """

    def delete(self, session_key: str) -> bool:
        """Delete a session with its runs and messages. False if there was none."""


class Transcripts(Protocol):
    """A session's messages, for somebody who reads them, shortens them, or adds one by hand."""

    def page(
        self, session_key: str, limit: int, offset: int = 0, max_size: int = MAX_PAGE
    ) -> list[TranscriptRow]:
        """The newest `limit` messages without the `offset` very newest, oldest first.

        Fewer if their stored contents have more than `max_size` characters, but at least one.
        """

    def messages(self, session_key: str) -> list[StoredMessage]:
        """All messages, oldest first, those of runs going on too; without those that were replaced."""

    def length(self, session_key: str) -> int:
        """How many messages the session has, without those that were replaced."""

    def compact(self, session_key: str, most: int) -> int:
        """Keep only the newest messages: `most`, or a few less, as a tool's result goes with its call.

        Returns how many those are.
        """

    def inject(self, session_key: str, text: str, label: str | None = None) -> str:
        """Add an assistant's message that no model wrote. Returns the message's id.

        Raises NotFound: the session does not exist or has no message.
        """


class SessionSearch(Protocol):
    """Finds messages by their words."""

    def search(self, query: str, where: SessionFilter, most: int) -> list[FoundMessage]:
        """The best `most` messages of user and assistant with any of the words, best first.

        Looks at the newest messages, up to a bound. Takes its time, while the event loop goes on.
        """


class UsageReader(Protocol):
    """What stored runs have used. Days begin `offset` milliseconds before those of UTC."""

    def totals(self, first: int, last: int, offset: int = 0) -> list[UsageRow]:
        """The runs that started from `first` to `last`, added up by session, model and day."""

    def message_counts(self, first: int, last: int, offset: int = 0) -> list[MessageCount]:
        """The messages stored from `first` to `last`, counted by session, role and day."""

    def timeline(self, session_key: str, limit: int) -> list[RunUsage]:
        """The session's newest runs whose usage is known, oldest first."""


class Maintenance(Protocol):
    """What happens by itself, and whether it all works."""

    def take_over(self, decide: Decide) -> TakenOver:
        """Take some of the runs of dead workers over, or interrupt them, as `decide` says. Cheap if there are
        none.
        """

    def interrupt_orphans(self) -> int:
        """Mark the running runs of dead workers as interrupted. Returns how many there were."""

    def interrupt_forgotten(self, is_known: Callable[[str], bool]) -> int:
        """Mark this worker's runs that it does not have (any more) as interrupted. Returns how many."""

    def prune(self, now: float, prune_after: float, max_entries: int, seconds: float = ...) -> Pruned:
        """Delete sessions unused for `prune_after` seconds, and the oldest beyond an owner's `max_entries`.

        A session with a run going on stays. `now` is in seconds since 1970. Goes on for about `seconds`.
        """

    @property
    def retention(self) -> Retention: ...

    def ping(self) -> None:
        """Raise StorageUnavailable unless something can be stored now."""


class SessionStore(Protocol):
    """All of it, over one database."""

    @property
    def runs(self) -> RunStore: ...

    @property
    def run_index(self) -> RunIndex: ...

    @property
    def outcomes(self) -> RunOutcomes: ...

    @property
    def index(self) -> SessionIndex: ...

    @property
    def transcripts(self) -> Transcripts: ...

    @property
    def pages(self) -> SessionPages: ...

    @property
    def copies(self) -> SessionCopies: ...

    @property
    def search(self) -> SessionSearch: ...

    @property
    def usage(self) -> UsageReader: ...

    @property
    def maintenance(self) -> Maintenance: ...
