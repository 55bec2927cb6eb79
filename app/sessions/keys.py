"""Session keys `agent:<agent id>:<rest>`: made, read and refused here, purely (contract, HTTP section 5).

A key names a stored conversation. The agent id is lower-cased and so is the rest, because OpenClaw's own
clients compare keys as lower-cased text; only what stands behind `openai-user:` and `openresponses-user:`
keeps its case.
"""

from __future__ import annotations

import hashlib
import json
import re

from app.errors import InvalidSessionKey
from app.ids import new_uuid

MAX_KEY = 512
RESERVED = ("subagent:", "cron:", "acp:", "harness:")

SPECIAL = ("global", "unknown")  # over WebSocket: keys that are no agent's

_AGENT_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_CASED = ("openai-user:", "openresponses-user:")


def is_agent_id(text: str) -> bool:
    return _AGENT_ID.fullmatch(text) is not None


def stateless_key(agent_id: str, surface: str) -> str:
    """A key nobody has used. `surface` is `openai` or `openresponses`."""
    return f"agent:{agent_id}:{surface}:{new_uuid()}"


def user_key(agent_id: str, surface: str, user: str) -> str:
    """The one key of `user`: a hash of the exact text, so that any text is harmless in it."""
    digest = hashlib.sha256(user.encode("utf-8", "surrogatepass")).hexdigest()
    return f"agent:{agent_id}:{surface}-user:{digest}"


def owned_key(key: str, owner: str | None) -> str:
    """`key` in the space of `owner`, who is one of several callers. None is the operator, who has no walls.

    Every key of such a caller passes here, so that naming another's key leads to one of his own.
    """
    if owner is None:
        return key
    _, agent_id, rest = key.split(":", 2)
    digest = hashlib.sha256(owner.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return f"agent:{agent_id}:of:{digest}:{rest}"


def requested_key(text: str, agent_id: str, main_key: str) -> str:
    """The canonical key for what a caller asked for by name.

    Raises InvalidSessionKey: malformed, reserved, too long, or another agent's.
    """
    _refuse_malformed(text)
    text = text.strip()
    lowered = text.lower()
    if lowered == "main":
        return f"agent:{agent_id}:{main_key}"
    if not lowered.startswith("agent:"):
        return f"agent:{agent_id}:{_fold(text)}"
    owner, _, rest = text[len("agent:") :].partition(":")
    owner = owner.lower()
    if not is_agent_id(owner) or not rest.strip():
        raise InvalidSessionKey(
            f"Malformed session key {_shown(text)}: a full key is `agent:<agent id>:<name>`."
        )
    if owner != agent_id:
        raise InvalidSessionKey(
            f"The session key belongs to agent `{owner}`, but the request selects agent `{agent_id}`. "
            f"Select agent `{owner}`, or use a key of `{agent_id}`."
        )
    return f"agent:{owner}:{_fold(rest)}"


def operator_key(text: str, default_agent: str, main_key: str) -> str:
    """The canonical key for what an operator names over WebSocket, where nothing is reserved and an agent
    may be one that is gone (contract, WebSocket section 8). Raises InvalidSessionKey."""
    name = text.strip()
    if not name or len(name) > MAX_KEY or _CONTROL.search(name):
        raise _malformed(text)
    if name.lower() in SPECIAL:
        return name.lower()
    owner, rest = default_agent, name
    if name.lower().startswith("agent:"):
        owner, _, rest = name[len("agent:") :].partition(":")
        owner, rest = owner.lower(), rest.strip()
        if not is_agent_id(owner) or not rest:
            raise _malformed(text)
    return f"agent:{owner}:{main_key if rest.lower() in ('main', main_key) else _fold(rest)}"


def agent_id_of(key: str, default_agent: str) -> str:
    """The agent that a canonical key belongs to; `global` and `unknown` belong to the default one."""
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
