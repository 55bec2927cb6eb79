"""Sessions as their readers find them, over any transport: one, or a page of them (docs/sessions.md)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from app.auth.principal import Principal
from app.config.settings import Settings
from app.control.models import Models
from app.control.session_state import IDLE, SessionState, SessionStates
from app.errors import NotFound, UnsupportedValue
from app.routing.operator import resolve_session_key
from app.sessions.base import SessionStore
from app.sessions.rows import ListedSession, MessagePage, SessionFilter, SessionPlace, StoredSession

MAX_CURSOR = 200  # characters
MAX_INTEGER = 2**63 - 1


@dataclass(frozen=True, slots=True)
class SessionView:
    """A session with what is known of it besides: `model` is `provider/model`, the one that answers next."""

    session: StoredSession
    messages: int
    model: str
    context_tokens: int | None
    state: SessionState


@dataclass(frozen=True, slots=True)
class SessionList:
    """A page, and the cursor of the next one, if there is one."""

    sessions: Sequence[SessionView]
    next: str | None


class SessionViews:
    """`settings` gives those in force. All methods raise StorageUnavailable."""

    def __init__(
        self, settings: Callable[[], Settings], store: SessionStore, states: SessionStates, models: Models
    ) -> None:
        self._settings = settings
        self._store = store
        self._states = states
        self._models = models

    def page(
        self,
        principal: Principal,
        limit: int,
        after: str | None = None,
        search: str | None = None,
        agent_id: str | None = None,
    ) -> SessionList:
        """The caller's sessions, the ones used last first; those behind the cursor `after`.

        Raises UnsupportedValue: that is no cursor.
        """
        where = SessionFilter(search=search, agent_id=agent_id, owner=principal.owner)
        place = None if after is None else load_cursor(after)
        found = self._store.pages.sessions(limit + 1, place, where)
        shown = found[:limit]
        states = self._states.of_all([one.session.key for one in shown])
        views = [self._view(one, states.get(one.session.key, IDLE)) for one in shown]
        return SessionList(views, dump_cursor(shown[-1].place) if len(found) > limit else None)

    def key(self, principal: Principal, name: str) -> str:
        """The canonical key of a session that the caller has. Raises NotFound and InvalidSessionKey."""
        return self._find(principal, name).session.key

    def one(self, principal: Principal, name: str) -> SessionView:
        """The caller's session of that name. Raises NotFound and InvalidSessionKey."""
        found = self._find(principal, name)
        return self._view(found, self._states.of(found.session.key))

    def messages(
        self,
        principal: Principal,
        name: str,
        limit: int,
        before: str | None = None,
        after: str | None = None,
    ) -> tuple[StoredSession, MessagePage]:
        """The session, and its newest messages, or those on one side of the one with that id.

        Raises NotFound (session, or message) and InvalidSessionKey.
        """
        session = self._find(principal, name).session
        return session, self._store.pages.messages(session.key, limit, before, after)

    def _find(self, principal: Principal, name: str) -> ListedSession:
        key = resolve_session_key(name, None, self._settings(), principal.owner)
        found = self._store.pages.sessions(1, where=SessionFilter(key=key, owner=principal.owner))
        if not found:
            raise NotFound(f"There is no session {name[:200]!r}.")
        return found[0]

    def _view(self, found: ListedSession, state: SessionState) -> SessionView:
        session = found.session
        model = self._models.of(session.agent_id, session.settings.get("model"))
        known = self._models.describe(model)
        return SessionView(session, found.messages, model, known.context_window if known else None, state)


def dump_cursor(place: SessionPlace) -> str:
    """A text for callers to hand back, which says nothing to them."""
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


def load_cursor(text: str) -> SessionPlace:
    """The place. Raises UnsupportedValue."""
    try:
        data = base64.urlsafe_b64decode(text[:MAX_CURSOR].encode() + b"==")
        place = msgspec.json.decode(data, type=SessionPlace)
    except (binascii.Error, ValueError) as error:
        raise _no_cursor() from error
    if not (0 <= place.updated_at <= MAX_INTEGER and 0 <= place.number <= MAX_INTEGER):
        raise _no_cursor()
    return place


def _no_cursor() -> UnsupportedValue:
    return UnsupportedValue("`after` is no cursor: give what an earlier page has as `next`.", param="after")
