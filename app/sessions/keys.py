"""Session keys `agent:<agent id>:<rest>`: built, parsed and refused here. Pure.

A key names a stored conversation (docs/sessions.md). The agent id is lower-cased and so is the rest, because
OpenClaw's own clients compare keys as lower-cased text; only what follows `openai-user:` and
`openresponses-user:` keeps its case.
"""

from __future__ import annotations

import hashlib
import json
import re

from app.errors import InvalidSessionKey
from app.ids import new_uuid

MAX_KEY = 512  # characters
RESERVED = ("subagent:", "cron:", "acp:", "harness:")  # not for HTTP callers, anywhere in a key

SPECIAL = ("global", "unknown")  # over WebSocket: keys that name no agent

_AGENT_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_CASED = ("openai-user:", "openresponses-user:")


def is_agent_id(text: str) -> bool:
    """Whether `text` may be an agent's id, which is lower-case; not whether there is such an agent."""
    return _AGENT_ID.fullmatch(text) is not None


def stateless_key(agent_id: str, surface: str) -> str:
    """A new key for a run that stores nothing. `surface` is `openai` or `openresponses`."""
    return f"agent:{agent_id}:{surface}:{new_uuid()}"


def user_key(agent_id: str, surface: str, user: str) -> str:
    """The key of `user` with this agent. It has a hash of the exact text: any text is harmless in it."""
    digest = hashlib.sha256(user.encode("utf-8", "surrogatepass")).hexdigest()
    return f"agent:{agent_id}:{surface}-user:{digest}"


def owned_key(key: str, owner: str | None) -> str:
    """`key` in the name space of the principal `owner`; unchanged for None, the operator.

    All keys of such a principal pass through here: one that names another's key gets a key of its own
    instead.
    """
    if owner is None:
        return key
    _, agent_id, rest = key.split(":", 2)
    digest = hashlib.sha256(owner.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return f"agent:{agent_id}:of:{digest}:{rest}"


def requested_key(text: str, agent_id: str, main_key: str) -> str:
    """The canonical key for what an HTTP caller asked for by name (docs/http.md#sessions).

    Raises InvalidSessionKey: malformed, reserved, too long, or another agent's.
    """
    _refuse_malformed(text)
    text = text.strip()
    lowered = text.lower()
    if lowered == "main":
        return f"agent:{agent_id}:{main_key}"
    if not lowered.startswith("agent:"):
        return f"agent:{agent_id}:{_fold(text)}"
    agent, _, rest = text[len("agent:") :].partition(":")
    agent = agent.lower()
    if not is_agent_id(agent) or not rest.strip():
        raise InvalidSessionKey(
            f"Malformed session key {_shown(text)}: a full key is `agent:<agent id>:<name>`."
        )
    if agent != agent_id:
        raise InvalidSessionKey(
            f"The session key belongs to agent `{agent}`, but the request selects agent `{agent_id}`. "
            f"Select agent `{agent}`, or use a key of `{agent_id}`."
        )
    return f"agent:{agent}:{_fold(rest)}"


def operator_key(text: str, default_agent: str, main_key: str) -> str:
    """The canonical key for what an operator names over WebSocket (docs/websocket.md#sessions).

    Nothing is reserved there, and the agent may have been removed. Raises InvalidSessionKey: malformed.
    """
    name = text.strip()
    if not name or len(name) > MAX_KEY or _CONTROL.search(name):
        raise _malformed(text)
    if name.lower() in SPECIAL:
        return name.lower()
    agent, rest = default_agent, name
    if name.lower().startswith("agent:"):
        agent, _, rest = name[len("agent:") :].partition(":")
        agent, rest = agent.lower(), rest.strip()
        if not is_agent_id(agent) or not rest:
            raise _malformed(text)
    return f"agent:{agent}:{main_key if rest.lower() in ('main', main_key) else _fold(rest)}"


def agent_id_of(key: str, default_agent: str) -> str:
    """The id of the agent that a canonical key names: the default agent's for `global` and `unknown`."""
    return key.split(":", 2)[1] if key.startswith("agent:") else default_agent


def _malformed(text: str) -> InvalidSessionKey:
    return InvalidSessionKey(f"malformed session key {json.dumps(text[:80])}")


def _refuse_malformed(text: str) -> None:
    if not text.strip():
        raise InvalidSessionKey("The session key is empty.")
    if len(text) > MAX_KEY:
        raise InvalidSessionKey(f"The session key is longer than {MAX_KEY} characters.")
    if _CONTROL.search(text):
        raise InvalidSessionKey("The session key has control characters in it.")
    lowered = text.lower()
    for word in RESERVED:
        if word in lowered:
            raise InvalidSessionKey(f"Session keys with `{word}` are reserved for the gateway's own use.")


def _fold(rest: str) -> str:
    for prefix in _CASED:
        if rest.lower().startswith(prefix):
            return prefix + rest[len(prefix) :]
    return rest.lower()


def _shown(text: str) -> str:
    return repr(text[:80])
