"""What sessions are to those who read them page by page, or look at what goes on in them now."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from app.sessions.rows import (
    ANY,
    ListedSession,
    MessagePage,
    OpenCall,
    SessionFilter,
    SessionPlace,
    UnendedRun,
)

MAX_PAGE = 8 * 1024 * 1024  # characters of stored messages that are read for one page of a transcript


class SessionPages(Protocol):
    """Sessions and messages page by page, and what goes on in sessions. Takes its time, while the event loop
    goes on.
    """

    def sessions(
        self, limit: int, after: SessionPlace | None = None, where: SessionFilter = ANY
    ) -> list[ListedSession]:
        """The sessions used last, newest first; those behind the place `after`, if one is given."""

    def messages(
        self,
        session_key: str,
        limit: int,
        before: str | None = None,
        after: str | None = None,
        max_size: int = MAX_PAGE,
    ) -> MessagePage:
        """The newest messages, or those next to the message of that id on one side.

        Fewer if their stored contents have more than `max_size` characters, but at least one. Raises
        NotFound: the session has no such message.
        """

    def unended(self, session_keys: Collection[str]) -> list[UnendedRun]:
        """The runs of these sessions that have not ended, each session's in the order of its queue."""

    def open_calls(self, run_ids: Sequence[str]) -> list[OpenCall]:
        """The calls of these runs' own tools that have no result yet, in the order they were made."""

    def newest_run(self, session_key: str) -> str | None:
        """The id of the session's newest run."""
