"""Which agent and which session an operator means: pure choices (docs/websocket.md, "Sessions").

Clients of the Gateway protocol may name sessions as they like, also ones whose agent is no longer configured.
Operators have all sessions; an `owner`, a user whom a trusted proxy names, has those in a space of its own
(`app.sessions.keys.stored_key`). What callers over HTTP may name is in `app.routing.resolve`.
"""

from __future__ import annotations

import json

from app.config.agent_settings import AgentSettings
from app.config.settings import Settings
from app.errors import InvalidRequest, UnknownAgent
from app.routing.resolve import Route, cut_label
from app.sessions.keys import agent_id_of, is_agent_id, owned_key, stored_key


def find_agent(agent_id: str | None, settings: Settings, prefix: str = "") -> AgentSettings:
    """The agent that is named, else the default one.

    `prefix` begins the error's message. Raises UnknownAgent: it is not configured.
    """
    named = _agent_id(agent_id, settings)
    found = settings.agent(named)
    if found is None:
        raise _unknown(named, prefix)
    return found


def resolve_agent_id(agent_id: str | None, settings: Settings, prefix: str = "") -> str:
    """The same, its id. Raises UnknownAgent."""
    return find_agent(agent_id, settings, prefix).id


def resolve_session_key(text: str, agent_id: str | None, settings: Settings, owner: str | None) -> str:
    """The canonical key of the session that is named; neither it nor its agent need exist.

    A bare name is one of `agent_id`, else of the default agent. Raises InvalidSessionKey (malformed) and
    UnknownAgent (`agent_id` is no agent id).
    """
    named = _agent_id(agent_id, settings)
    if not is_agent_id(named):
        raise _unknown(named)
    return stored_key(text, named, settings.session.main_key, owner, "operator")


def resolve_operator_route(
    text: str | None, agent_id: str | None, settings: Settings, owner: str | None, label: str | None = None
) -> Route:
    """Where a run goes that an operator starts: the session that is named, else the agent's main one.

    `agent_id` completes a bare name; a full key names its agent itself. Raises InvalidSessionKey and
    UnknownAgent (also if the session's agent is not configured).
    """
    key = resolve_session_key(text or "main", agent_id, settings, owner)
    return Route(resolve_agent_id(agent_of_key(key, settings), settings), key, "key", cut_label(label))


def resolve_agent_route(
    text: str | None, agent_id: str | None, settings: Settings, owner: str | None, label: str | None = None
) -> Route:
    """The same for the method `agent`, where `agent_id`, if there is one, must be the session's agent.

    Raises InvalidSessionKey, UnknownAgent, and InvalidRequest (the session is another agent's).
    """
    prefix = "invalid agent params: "
    named = resolve_agent_id(agent_id, settings, prefix)
    key = resolve_session_key(text or "main", named, settings, owner)
    agent = agent_id_of(key, named)
    check_same_agent(agent_id, agent, "agent")
    return Route(resolve_agent_id(agent, settings, prefix), key, "key", cut_label(label))


def check_same_agent(agent_id: str | None, agent_of_session: str, method: str) -> None:
    """Raise InvalidRequest, in `method`'s name, if `agent_id` names another agent than the session's."""
    named = (agent_id or "").strip().lower()
    if named and named != agent_of_session:
        raise InvalidRequest(
            f"invalid {method} params: agent {_quoted(named)} does not match session key agent "
            f"{_quoted(agent_of_session)}"
        )


def agent_of_key(key: str, settings: Settings) -> str:
    """The id of the agent that a canonical key belongs to."""
    return agent_id_of(key, settings.default_agent.id)


def main_session_key(settings: Settings, owner: str | None = None) -> str:
    """The key of the default agent's main session, or of the one that `owner` has."""
    return owned_key(f"agent:{settings.default_agent.id}:{settings.session.main_key}", owner)


def main_key(settings: Settings, owner: str | None) -> str:
    """How the key of any agent's main session ends, behind `agent:<agent id>:`."""
    return main_session_key(settings, owner).split(":", 2)[2]


def _agent_id(agent_id: str | None, settings: Settings) -> str:
    return (agent_id or "").strip().lower() or settings.default_agent.id


def _unknown(agent_id: str, prefix: str = "") -> UnknownAgent:
    return UnknownAgent(f"{prefix}unknown agent id {_quoted(agent_id)}")


def _quoted(text: str) -> str:
    return json.dumps(text[:80])
