"""Which agent answers a request over the OpenAI API, and in which session (docs/http.md#choosing-the-agent).
Pure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

import msgspec

from app.config.agent_settings import AgentSettings
from app.errors import InvalidRequest, ModelNotFound, UnknownAgent
from app.sessions.keys import MAX_LABEL, is_agent_id, owned_key, stateless_key, stored_key, user_key

SessionSource = Literal["new", "user", "key"]

_BRANDS = ("openclaw", "clawdbot")
_DEFAULTS = frozenset(("", *_BRANDS, *(f"{brand}{mark}default" for brand in _BRANDS for mark in "/:")))
_AGENT_MODEL = re.compile(
    r"(?:(?:openclaw|clawdbot)[:/]|agent:)(?P<agent>[a-z0-9][a-z0-9_-]{0,63})", re.ASCII
)


class Route(msgspec.Struct, frozen=True):
    """Where a run goes. `source` says what selected the session; a `new` one is stateless, never stored."""

    agent_id: str
    session_key: str
    source: SessionSource
    label: str | None = None

    @property
    def stateless(self) -> bool:
        return self.source == "new"


def resolve_agent(
    model: object,
    header: str | None,
    agents: Sequence[AgentSettings],
    unknown_model: Literal["reject", "default"] = "reject",
) -> str:
    """The agent's id: header beats model, model beats default.

    Raises InvalidRequest (`model` is no string), ModelNotFound and UnknownAgent.
    """
    if model is not None and not isinstance(model, str):
        raise InvalidRequest("`model` must be a string.", param="model")
    if header and header.strip():
        return _known(header.strip().lower(), agents, "x-openclaw-agent-id")
    named = (model or "").strip().lower()
    if named in _DEFAULTS:
        return _default(agents)
    if match := _AGENT_MODEL.fullmatch(named):
        return _known(match["agent"], agents, "model")
    if unknown_model == "default":
        return _default(agents)
    raise ModelNotFound(
        f"The model {str(model)[:100]!r} does not exist. Use `openclaw` for the default agent or "
        f"`openclaw:<agent id>` with one of: {_names(agents)}.",
        param="model",
    )


def resolve_session(
    agent_id: str,
    user: object,
    key_header: str | None,
    main_key: str,
    surface: Literal["openai", "openresponses"] = "openai",
    owner: str | None = None,
) -> Route:
    """The session: the key a caller names, else the one of `user`, else a new one for this call alone.

    `owner` is a caller that is not the operator: each key it names lies in a space of its own.
    Raises InvalidRequest (`user` is no string) and InvalidSessionKey.
    """
    if user is not None and not isinstance(user, str):
        raise InvalidRequest("`user` must be a string.", param="user")
    named = user.strip() if user else ""
    label = cut_label(named)
    if key_header and key_header.strip():
        return Route(agent_id, stored_key(key_header, agent_id, main_key, owner, "caller"), "key", label)
    if named:
        return Route(agent_id, owned_key(user_key(agent_id, surface, named), owner), "user", label)
    return Route(agent_id, owned_key(stateless_key(agent_id, surface), owner), "new")


def cut_label(text: str | None) -> str | None:
    """The label of a session that a caller names `text`, of any length; None for no text."""
    return text[:MAX_LABEL].strip() or None if text else None


def _default(agents: Sequence[AgentSettings]) -> str:
    return next(agent.id for agent in agents if agent.default)


def _known(agent_id: str, agents: Sequence[AgentSettings], param: str) -> str:
    if is_agent_id(agent_id) and any(agent.id == agent_id for agent in agents):
        return agent_id
    raise UnknownAgent(f"Unknown agent {agent_id[:80]!r}. Configured agents: {_names(agents)}.", param=param)


def _names(agents: Sequence[AgentSettings]) -> str:
    return ", ".join(f"`{agent.id}`" for agent in agents)
