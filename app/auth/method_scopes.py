"""The Gateway protocol's methods, each with the least scope that may call it. Pure data.

`app.ws` serves exactly these and asks for these scopes; a client asks which scopes to request before it
connects. A test compares this table with the methods that are served.
"""

from __future__ import annotations

from collections.abc import Mapping

from app.auth.scopes import ADMIN, APPROVALS, PAIRING, QUESTIONS, READ, WRITE

# What concerns the whole gateway, other people's doings included: a user whom a trusted proxy names needs
# `operator.admin` for it.
FOR_OPERATORS = frozenset(
    {"config.get", "logs.tail", "exec.approval.grants.list", "exec.approval.grants.revoke"}
)

# None: any connected operator may call it.
METHOD_SCOPES: Mapping[str, str | None] = {
    "agent": WRITE,
    "agent.identity.get": READ,
    "agent.wait": READ,
    "agents.list": READ,
    "approval.get": APPROVALS,
    "approval.history": APPROVALS,
    "approval.resolve": APPROVALS,
    "channels.status": READ,
    "chat.abort": WRITE,
    "chat.history": READ,
    "chat.inject": WRITE,
    "chat.metadata": READ,
    "chat.send": WRITE,
    "chat.startup": READ,
    "commands.list": READ,
    "config.apply": ADMIN,
    "config.get": READ,
    "config.patch": ADMIN,
    "config.schema": READ,
    "config.schema.lookup": READ,
    "config.set": ADMIN,
    "cron.list": READ,
    "cron.runs": READ,
    "cron.status": READ,
    "device.pair.list": PAIRING,
    "exec.approval.get": APPROVALS,
    "exec.approval.grants.list": APPROVALS,
    "exec.approval.grants.revoke": APPROVALS,
    "exec.approval.list": APPROVALS,
    "exec.approval.request": APPROVALS,
    "exec.approval.resolve": APPROVALS,
    "exec.approval.waitDecision": APPROVALS,
    "exec.approvals.get": ADMIN,
    "exec.approvals.node.get": ADMIN,
    "exec.approvals.node.set": ADMIN,
    "exec.approvals.set": ADMIN,
    "health": None,
    "last-heartbeat": READ,
    "logs.tail": READ,
    "models.authStatus": READ,
    "models.list": READ,
    "node.list": READ,
    "openclaw.approval.list": APPROVALS,
    "plugin.approval.list": APPROVALS,
    "plugin.approval.request": APPROVALS,
    "plugin.approval.resolve": APPROVALS,
    "plugin.approval.waitDecision": APPROVALS,
    "question.get": QUESTIONS,
    "question.list": QUESTIONS,
    "question.request": QUESTIONS,
    "question.resolve": QUESTIONS,
    "question.waitAnswer": QUESTIONS,
    "sessions.compact": ADMIN,
    "sessions.create": WRITE,
    "sessions.delete": ADMIN,
    "sessions.describe": READ,
    "sessions.fork": WRITE,
    "sessions.get": READ,
    "sessions.list": READ,
    "sessions.messages.subscribe": READ,
    "sessions.messages.unsubscribe": READ,
    "sessions.patch": WRITE,
    "sessions.preview": READ,
    "sessions.reset": ADMIN,
    "sessions.resolve": READ,
    "sessions.subscribe": READ,
    "sessions.unsubscribe": READ,
    "sessions.usage": READ,
    "sessions.usage.logs": READ,
    "sessions.usage.timeseries": READ,
    "set-heartbeats": ADMIN,
    "skills.status": READ,
    "status": READ,
    "system-presence": READ,
    "tools.catalog": READ,
    "tools.effective": READ,
    "tools.invoke": WRITE,
    "update.status": ADMIN,
    "usage.cost": READ,
    "usage.status": READ,
}
