"""`exec.approvals.*` and `exec.approval.grants.*`: what may run without asking
(docs/approvals.md#the-document).
"""

from __future__ import annotations

from typing import Any

from app.errors import InvalidRequest
from app.gateway import Gateway
from app.tools.approvals.document import EMPTY, dump_document, hash_of
from app.ws.call import Call, Handler

MAX_GRANTS = 1000


def get(call: Call) -> Any:
    """The document, and what holds where it says nothing."""
    return _dump(call.gateway)


def set_document(call: Call) -> Any:
    """Replace the document."""
    params = call.params
    if not isinstance(params.given.get("file"), dict):
        raise params.wrong("at /file", "must be object")
    call.gateway.approvals.set_document(params.given["file"], params.optional_text("baseHash") or None)
    return _dump(call.gateway)


def of_nodes(_: Call) -> Any:
    """Nodes have documents of their own; there are no nodes. Raises InvalidRequest."""
    raise InvalidRequest("This gateway has no nodes: commands run on its own host alone.")


def list_grants(call: Call) -> Any:
    """What was answered with `allow-always`, newest first. It never expires, and how often it was used is not
    counted.
    """
    limit = call.params.integer("limit", MAX_GRANTS, 1, MAX_GRANTS)
    newest_first = sorted(call.gateway.approvals.grants(), key=lambda one: -(one[1].last_used_at or 0))
    return {
        "grants": [
            {
                "grantId": entry.id,
                "agentId": agent_id,
                "cronJobId": agent_id,  # clients show it: a job's commands are the only ones they know
                "command": entry.command_text,
                "useCount": None,
                "expiresAtMs": None,
                "revokedAtMs": None,
                "commandArgv": list(entry.argv),
                "cwd": entry.cwd,
                "resolvedPath": entry.pattern,
                "createdAtMs": entry.last_used_at,
            }
            for agent_id, entry in newest_first[:limit]
        ]
    }


def revoke_grant(call: Call) -> Any:
    """Ask about that command again."""
    revoked = call.gateway.approvals.revoke(call.params.text("grantId"))
    return {"outcome": "revoked" if revoked else "not-found"}


def _dump(gateway: Gateway) -> dict[str, Any]:
    approvals = gateway.approvals
    document = approvals.document()
    present = EMPTY if document is None else document
    security, ask = gateway.settings.tools.exec.rule
    defaults = present.defaults
    return {
        "path": approvals.place,
        "exists": document is not None,
        "hash": hash_of(present),
        "file": dump_document(present),
        "resolvedDefaults": {
            "security": defaults.security or security,
            "ask": defaults.ask or ask,
            "askFallback": defaults.ask_fallback or "deny",
            "autoAllowSkills": False,
        },
    }


APPROVAL_RULES: dict[str, Handler] = {
    "exec.approvals.get": get,
    "exec.approvals.set": set_document,
    "exec.approvals.node.get": of_nodes,
    "exec.approvals.node.set": of_nodes,
    "exec.approval.grants.list": list_grants,
    "exec.approval.grants.revoke": revoke_grant,
}
