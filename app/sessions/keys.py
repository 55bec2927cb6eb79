"""Session keys `agent:<agent id>:<rest>`: built, parsed and refused here. Pure.

A key names a stored conversation (docs/sessions.md). The agent id is lower-cased and so is the rest, because
OpenClaw's own clients compare keys as lower-cased text; only what follows `openai-user:` and
`openresponses-user:` keeps its case.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Literal

from app.errors import InvalidSessionKey
from app.ids import new_uuid

MAX_KEY = 512  # characters, not counting a space
MAX_LABEL = 512  # characters of a session's label
RESERVED = ("subagent:", "cron:", "acp:", "harness:")  # not for HTTP callers, anywhere in a key

SPECIAL = ("global", "unknown")  # over WebSocket: keys that name no agent

_AGENT_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_CASED = ("openai-user:", "openresponses-user:")
_SPACE = re.compile(r"agent:[^:]+:(of:[0-9a-f]{32}:)", re.ASCII)

# Which rules hold for the names that a caller gives: those of the OpenAI API, or of the Gateway protocol.
KeyRules = Literal["caller", "operator"]


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


def stored_key(text: str, agent_id: str, main_key: str, owner: str | None, rules: KeyRules) -> str:
    """The canonical key of the session that a caller's own words name; neither it nor its agent need exist.

    Every route and method gets its keys here. A caller who is not the operator is the `owner` of a space:
    whatever it names lies in there, also a key that names another's space. The keys that it was shown name
    the same sessions when it sends them back. `agent_id` is the agent of a bare name. Raises
    InvalidSessionKey.
    """
    text = _outside_space(text, owner)
    if rules == "caller":
        return owned_key(requested_key(text, agent_id, main_key), owner)
    key = operator_key(text, agent_id, main_key)
    if owner is not None and key in SPECIAL:
        key = f"agent:{agent_id}:{key}"
    return owned_key(key, owner)


def owned_key(key: str, owner: str | None) -> str:
    """A canonical key without a space, in that of `owner`; unchanged for None, the operator."""
    if owner is None:
        return key
    _, agent_id, rest = key.split(":", 2)
    return f"agent:{agent_id}:{space_name(owner)}{rest}"


def space_name(owner: str) -> str:
    """How the names of `owner`'s sessions begin, behind `agent:<agent id>:`."""
    digest = hashlib.sha256(owner.encode("utf-8", "surrogatepass")).hexdigest()
    return f"of:{digest[:32]}:"


def space_of(key: str) -> str:
    """The space that a canonical key lies in, as `space_name` has it; empty for a session of the operator."""
    found = _SPACE.match(key)
    return found[1] if found else ""


def is_visible(key: str, owner: str | None) -> bool:
    """Whether the session of a canonical key is one of `owner`'s; the operator (None) has all."""
    return owner is None or space_of(key) == space_name(owner)


def owned_run_id(run_id: str, owner: str | None) -> str:
    """The id under which a run is kept whose caller named it `run_id`: no two owners share one."""
    return run_id if owner is None else space_name(owner) + run_id


def shown_run_id(run_id: str, key: str) -> str:
    """The id by which clients know a run of the session `key`: the one that its caller gave."""
    return run_id.removeprefix(space_of(key))


def _outside_space(text: str, owner: str | None) -> str:
    """`text`, without the space that a key has which `owner` was shown."""
    if owner is None:
        return text
    return re.sub(rf"^(\s*(?:agent:[^:]+:)?){space_name(owner)}", r"\1", text, count=1, flags=re.IGNORECASE)


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
    if found := _SPACE.match(f"agent:x:{rest.lower()}"):  # an operator names a user's session
        return found[1] + _fold(rest[len(found[1]) :])
    for prefix in _CASED:
        if rest.lower().startswith(prefix):
            return prefix + rest[len(prefix) :]
    return rest.lower()


def _shown(text: str) -> str:
    return repr(text[:80])
