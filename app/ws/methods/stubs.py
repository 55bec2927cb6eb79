"""Methods for what this gateway does not have, such as channels, nodes and jobs: empty answers in the shapes
that
clients expect."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from app.clock import now_ms
from app.routing.operator import find_agent
from app.ws.call import Call, Handler

DEFAULT_PAGE, MAX_PAGE = 50, 200


def channels_status(_: Call) -> Any:
    """Messaging channels: none."""
    return {
        "ts": now_ms(),
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
    """Scheduled jobs: none."""
    return {"jobs": [], **_no_page(call), "snapshotRevision": "none"}


def cron_runs(call: Call) -> Any:
    """Runs of scheduled jobs: none."""
    return {"entries": [], **_no_page(call)}


def skills_status(call: Call) -> Any:
    """An agent's skills: none. Raises UnknownAgent."""
    agent = find_agent(call.params.optional_text("agentId"), call.gateway.settings)
    workspace = str(agent.workspace) if agent.workspace else ""
    return {"workspaceDir": workspace, "managedSkillsDir": "", "skills": []}


def node_list(_: Call) -> Any:
    """Nodes: none."""
    return {"ts": now_ms(), "nodes": []}


def _always(answer: Any) -> Callable[[Call], Any]:
    return lambda _: answer


def _no_page(call: Call) -> dict[str, Any]:
    limit, offset = call.params.integer("limit", DEFAULT_PAGE, 1, MAX_PAGE), call.params.integer("offset", 0)
    return {"total": 0, "offset": offset, "limit": limit, "hasMore": False, "nextOffset": None}


_NO_CRON = {"enabled": False, "storePath": "", "jobs": 0, "nextWakeAtMs": None}

STUBS: dict[str, Handler] = {
    "channels.status": channels_status,
    "cron.list": cron_list,
    "cron.status": _always(_NO_CRON),
    "cron.runs": cron_runs,
    "skills.status": skills_status,
    "node.list": node_list,
    "device.pair.list": _always({"pending": [], "paired": []}),
    "openclaw.approval.list": _always([]),
    "update.status": _always({"sentinel": None, "updateAvailable": None}),
}
