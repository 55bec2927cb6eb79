"""How the gateway is, who is connected, which agents there are (docs/websocket.md#methods)."""

from __future__ import annotations

import time
from typing import Any

from app import VERSION
from app.auth.grants import is_granted
from app.auth.scopes import READ
from app.clock import now_ms
from app.config.agent_settings import AgentSettings
from app.errors import InvalidRequest
from app.gateway import Gateway
from app.routing.operator import agent_of_key, check_same_agent, find_agent, main_key
from app.ws.call import Call, Handler
from app.ws.methods.session_rows import canonical_key, dump_defaults, dump_session
from app.ws.presence import describe_gateway, describe_peer

MAX_RECENT = 10
_NO_HEARTBEAT = {"enabled": False, "every": "disabled", "everyMs": None}


def health(call: Call) -> Any:
    """Anybody may ask how the gateway is; which sessions there are is for those who may read."""
    recent = MAX_RECENT if is_granted(call.peer.principal, READ) else 0
    return build_health(call.gateway, call.owner, recent)


def build_health(gateway: Gateway, owner: str | None = None, recent: int = MAX_RECENT) -> dict[str, Any]:
    """How the gateway is, with the `recent` newest of `owner`'s sessions: of all for None, an operator."""
    started, settings = time.monotonic(), gateway.settings
    agents = [
        {
            "agentId": agent.id,
            "isDefault": agent.default,
            "heartbeat": {**_NO_HEARTBEAT, "prompt": "", "target": "none", "ackMaxChars": 0},
            "sessions": _sessions(gateway, owner, recent, agent.id),
        }
        for agent in settings.agents
    ]
    return {
        "ok": True,
        "ts": now_ms(),
        "channels": {},
        "channelOrder": [],
        "channelLabels": {},
        "heartbeatSeconds": 0,
        "defaultAgentId": settings.default_agent.id,
        "agents": agents,
        "sessions": _sessions(gateway, owner, recent),
        "durationMs": int((time.monotonic() - started) * 1000),
    }


def status(call: Call) -> Any:
    """The default model, the sessions used last, and how many runs are active."""
    gateway, owner = call.gateway, call.owner
    settings, now = gateway.settings, now_ms()
    summary = gateway.status.sessions(owner, MAX_RECENT)
    recent = [
        {**dump_session(one, gateway), "age": now - one.updated_at, "flags": []} for one in summary.recent
    ]
    by_agent = [
        {
            "agentId": agent.id,
            "path": str(settings.state_dir),
            "count": gateway.status.sessions(owner, 0, agent.id).count,
            "recent": [row for row in recent if row["agentId"] == agent.id],
        }
        for agent in settings.agents
    ]
    return {
        "runtimeVersion": VERSION,
        "heartbeat": {
            "defaultAgentId": settings.default_agent.id,
            "agents": [{"agentId": agent.id, **_NO_HEARTBEAT} for agent in settings.agents],
        },
        "channelSummary": [],
        "queuedSystemEvents": [],
        "retention": gateway.status.retention(),
        "sessions": {
            "paths": [str(settings.state_dir)],
            "count": summary.count,
            "defaults": dump_defaults(gateway),
            "recent": recent,
            "byAgent": by_agent,
        },
        "activeRuns": gateway.status.active_runs_of(owner),
        "uptimeMs": gateway.status.uptime_ms,
    }


def system_presence(call: Call) -> Any:
    """A bare list: the gateway itself, then who is connected to it, on whichever worker."""
    return [describe_gateway("self"), *map(describe_peer, call.peers()), *call.elsewhere()]


def last_heartbeat(_: Call) -> Any:
    """There are no heartbeats here, so there was no last one."""
    return None


def set_heartbeats(call: Call) -> Any:
    """Heartbeats cannot be switched on. Raises InvalidRequest for wrong parameters."""
    if not isinstance(call.params.given.get("enabled"), bool):
        raise InvalidRequest("invalid set-heartbeats params: enabled (boolean) required")
    return {"ok": True, "enabled": False}


def list_agents(call: Call) -> Any:
    """The agents with their models, and which one is the default."""
    settings = call.gateway.settings
    return {
        "defaultId": settings.default_agent.id,
        "mainKey": main_key(settings, call.owner),
        "scope": "per-sender",
        "selectionRequired": False,
        "agents": [_dump_agent(agent, call.gateway) for agent in settings.agents],
    }


def agent_identity(call: Call) -> Any:
    """Who answers in a session, or as an agent: the name and the picture for a conversation's head."""
    settings, agent_id = call.gateway.settings, call.params.optional_text("agentId")
    if named := call.params.optional_text("sessionKey"):
        agent_of_session = agent_of_key(canonical_key(call, named), settings)
        check_same_agent(agent_id, agent_of_session, "agent.identity.get")
        agent_id = agent_of_session
    agent = find_agent(agent_id, settings)
    identity = agent.identity
    name = identity.name or agent.name or "Assistant"
    avatar = identity.avatar if _is_shown(identity.avatar) else identity.emoji or name[:1].upper()
    answer = {"agentId": agent.id, "name": name, "avatar": avatar}
    return answer | ({"emoji": identity.emoji} if identity.emoji else {})


def _dump_agent(agent: AgentSettings, gateway: Gateway) -> dict[str, Any]:
    """Always with `model.primary`: the newest Control UI locks its composer without one."""
    identity = {"name": agent.identity.name, "emoji": agent.identity.emoji}
    if _is_shown(agent.identity.avatar):
        identity |= {"avatar": agent.identity.avatar, "avatarUrl": agent.identity.avatar}
    row = {
        "id": agent.id,
        "name": agent.name or agent.identity.name,
        "identity": {name: value for name, value in identity.items() if value},
        "workspace": str(agent.workspace) if agent.workspace else None,
        "model": {"primary": gateway.models.of(agent.id), "fallbacks": list(agent.fallbacks)},
    }
    return {name: value for name, value in row.items() if value not in (None, {})}


def _is_shown(avatar: str | None) -> bool:
    """A file in the workspace is not served."""
    return avatar is not None and avatar.startswith(("https://", "http://", "data:image/"))


def _sessions(
    gateway: Gateway, owner: str | None, recent: int, agent_id: str | None = None
) -> dict[str, Any]:
    now, found = now_ms(), gateway.status.sessions(owner, recent, agent_id)
    return {
        "path": str(gateway.settings.state_dir),
        "count": found.count,
        "recent": [
            {"key": one.key, "updatedAt": one.updated_at, "age": now - one.updated_at} for one in found.recent
        ],
    }


STATUS: dict[str, Handler] = {
    "health": health,
    "status": status,
    "system-presence": system_presence,
    "last-heartbeat": last_heartbeat,
    "set-heartbeats": set_heartbeats,
    "agents.list": list_agents,
    "agent.identity.get": agent_identity,
}
