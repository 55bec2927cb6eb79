"""Which sessions a run may see (docs/tools.md#sessions): `tools.sessions.visibility`, and the run's owner.

Whatever a model names, another owner's session is never found. Everything a tool reads of a session goes
through here.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import replace

from app.errors import GatewayError
from app.sessions.base import SessionIndex
from app.sessions.keys import agent_id_of, is_visible, space_of, stored_key
from app.sessions.rows import SPAWNED_BY, SessionFilter, StoredSession
from app.tools.base import RunContext, ToolError

MAX_TREE = 500  # sessions that agents have started: the newest
CURRENT = frozenset({"current", "self", "this"})  # words for the run's own session
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class SessionScope:
    """The sessions that `run` may see."""

    def __init__(self, run: RunContext, index: SessionIndex) -> None:
        self._run = run
        self._index = index
        self._visibility = run.agent.tools.sessions.visibility
        self.own_key = run.session_key

    @property
    def filter(self) -> SessionFilter:
        """What the sessions have in common that the run may see."""
        space = space_of(self.own_key)
        match self._visibility:
            case "self":
                return SessionFilter(space=space, keys=(self.own_key,))
            case "tree":
                return SessionFilter(space=space, keys=self._tree())
            case "agent":
                return SessionFilter(space=space, agent_id=self._run.agent_id)
            case "all":
                return SessionFilter(space=space)

    def key(self, text: str) -> str:
        """The canonical key of the session that the model names, if it may see it; it need not exist.

        Raises ToolError.
        """
        if text.strip().lower() in CURRENT:
            return self.own_key
        if _UUID.fullmatch(text.strip()):
            return self._by_id(text.strip())
        main_key, owner = self._run.settings().session.main_key, self._run.principal.owner
        try:
            key = stored_key(text, self._run.agent_id, main_key, owner, "operator")
        except GatewayError as error:
            raise ToolError(error.message) from None
        if not self.includes(key):
            raise hidden(text)
        return key

    def session(self, text: str) -> StoredSession:
        """The session that the model names. Raises ToolError: it may not see it, or there is none."""
        found = self._index.describe(self.key(text))
        if found is None:
            raise hidden(text)
        return found

    def labelled(self, label: str, agent_id: str | None = None) -> str:
        """The key of the session of that label. Raises ToolError: there is none, or several."""
        where = self.filter
        found = self._index.sessions(50, where=_with(where, label=label))
        keys = [one.key for one in found if agent_id is None or one.agent_id == agent_id]
        if not keys:
            raise ToolError(f"No session that you may see has the label {label[:80]!r}.")
        if len(keys) > 1:
            raise ToolError(f"Several sessions have the label {label[:80]!r}: {', '.join(keys[:10])}.")
        return keys[0]

    def includes(self, key: str) -> bool:
        """Whether the run may see the session of that canonical key."""
        if space_of(key) != space_of(self.own_key) or not is_visible(key, self._run.principal.owner):
            return False
        match self._visibility:
            case "self":
                return key == self.own_key
            case "tree":
                return key in self._tree()
            case "agent":
                default = self._run.settings().default_agent.id
                return key == self.own_key or agent_id_of(key, default) == self._run.agent_id
            case "all":
                return True

    def _by_id(self, session_id: str) -> str:
        found = self._index.sessions(1, where=_with(self.filter, session_id=session_id))
        if not found:
            raise hidden(session_id)
        return found[0].key

    def _tree(self) -> tuple[str, ...]:
        """The run's own session, and those that it has started, and those that these have started…"""
        where = SessionFilter(space=space_of(self.own_key), is_spawned=True)
        started: dict[str, list[str]] = defaultdict(list)
        for one in self._index.sessions(MAX_TREE, where=where):
            started[one.settings[SPAWNED_BY]].append(one.key)
        keys = [self.own_key]
        for key in keys:  # which grows
            keys += [child for child in started.pop(key, ()) if child not in keys]
        return tuple(keys)


def hidden(text: str) -> ToolError:
    """The same for a session that does not exist and for one that the run may not see."""
    return ToolError(
        f"There is no session {text[:100]!r} that you may see. `sessions_list` shows which there are."
    )


def _with(where: SessionFilter, **more: str) -> SessionFilter:
    return replace(where, **more)  # type: ignore[arg-type]
