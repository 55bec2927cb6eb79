"""What this gateway does not have, said in the shapes that clients expect: no jobs, no nodes, no channels."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from app.auth.scopes import ADMIN, APPROVALS, PAIRING, QUESTIONS, READ
from app.ws.call import Call, Method

DEFAULT_PAGE, MAX_PAGE = 50, 200


def channels_status(_: Call) -> Any:
    return {
        "ts": _now(),
        "channelOrder": [],
        "channelLabels": {},
        "channelDetailLabels": {},
        "channelSystemImages": {},
        "channelMeta": [],
        "channels": {},
        "channelAccounts": {},
        "channelDefaultAccountId": {},
    }


def cron_list(call: Call) -> Any:
    # The newest command line takes a list for one only if it says which state of the store it shows.
    return {"jobs": [], **_no_page(call), "snapshotRevision": "none"}


def cron_runs(call: Call) -> Any:
    return {"entries": [], **_no_page(call)}


def skills_status(call: Call) -> Any:
    settings = call.gateway.settings
    agent_id = (call.params.optional_text("agentId") or settings.default_agent.id).strip().lower()
    agent = settings.agent(agent_id)
    workspace = str(agent.workspace) if agent is not None and agent.workspace else ""
    return {"workspaceDir": workspace, "managedSkillsDir": "", "skills": []}


def node_list(_: Call) -> Any:
    return {"ts": _now(), "nodes": []}


def _always(answer: Any) -> Callable[[Call], Any]:
    return lambda _: answer


def _no_page(call: Call) -> dict[str, Any]:
    limit, offset = call.params.integer("limit", DEFAULT_PAGE, 1, MAX_PAGE), call.params.integer("offset", 0)
    return {"total": 0, "offset": offset, "limit": limit, "hasMore": False, "nextOffset": None}


def _now() -> int:
    return time.time_ns() // 1_000_000


_NO_APPROVALS = {"version": 1, "defaults": {}, "agents": {}}
_NO_CRON = {"enabled": False, "storePath": "", "jobs": 0, "nextWakeAtMs": None}

EMPTY: dict[str, Method] = {
    "channels.status": Method(channels_status, READ),
    "cron.list": Method(cron_list, READ),
    "cron.status": Method(_always(_NO_CRON), READ),
    "cron.runs": Method(cron_runs, READ),
    "skills.status": Method(skills_status, READ),
    "node.list": Method(node_list, READ),
    "device.pair.list": Method(_always({"pending": [], "paired": []}), PAIRING),
    "exec.approvals.get": Method(
        _always({"path": "", "exists": False, "hash": "", "file": _NO_APPROVALS}), ADMIN
    ),
    "exec.approval.list": Method(_always([]), APPROVALS),
    "plugin.approval.list": Method(_always([]), APPROVALS),
    "question.list": Method(_always({"questions": []}), QUESTIONS),
    "update.status": Method(_always({"sentinel": None, "updateAvailable": None}), ADMIN),
}
