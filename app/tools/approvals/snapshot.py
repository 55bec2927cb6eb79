"""Approvals as clients see them (docs/approvals.md#snapshots). Pure."""

from __future__ import annotations

from typing import Any

from app.sessions.keys import shown_run_id
from app.tools.approvals.record import DECISIONS, Approval, ApprovalRequest

MAX_PREVIEW = 160  # characters


def snapshot(approval: Approval) -> dict[str, Any]:
    """What is asked, and what became of it."""
    shown: dict[str, Any] = {
        "id": approval.id,
        "status": approval.state,
        "presentation": _presentation(approval.request),
        "urlPath": f"/approve/{approval.id}",
        "createdAtMs": approval.created_at,
        "expiresAtMs": approval.expires_at,
    }
    if approval.is_pending:
        return shown
    request = approval.request
    shown |= {
        "resolvedAtMs": approval.resolved_at,
        "decision": approval.decision,
        "reason": approval.reason,
        "source": {"agentId": request.agent_id, "sessionKey": request.session_key or None},
    }
    if approval.resolver is not None:
        shown["resolver"] = {"kind": approval.resolver.kind, "id": approval.resolver.id}
    return shown


def _presentation(request: ApprovalRequest) -> dict[str, Any]:
    common = {
        "kind": request.kind,
        "agentId": request.agent_id,
        "sessionKey": request.session_key or None,
        "runId": shown_run_id(request.run_id, request.session_key) or None,
        "toolCallId": request.call_id or None,
        "toolName": request.tool or None,
        "allowedDecisions": list(request.allowed),
    }
    if request.kind == "plugin":
        return common | _plugin(request)
    return common | {
        "commandText": request.command,
        "commandPreview": preview(request.command),
        "warningText": "\n".join(request.warnings) or None,
        "host": request.host,
        "nodeId": None,
        "cwd": request.directory or None,
        "envNames": list(request.env_names),
    }


def pending_entry(approval: Approval) -> dict[str, Any]:
    """A pending one in a list, and in the event that announces it."""
    return {
        "id": approval.id,
        "approvalKind": approval.request.kind,
        "request": request_of(approval.request),
        "createdAtMs": approval.created_at,
        "expiresAtMs": approval.expires_at,
    }


def request_of(request: ApprovalRequest) -> dict[str, Any]:
    """What is asked, flat, as the protocol's events have it."""
    common: dict[str, Any] = {
        "agentId": request.agent_id,
        "sessionKey": request.session_key or None,
        "sessionId": None,
        "runId": shown_run_id(request.run_id, request.session_key) or None,
        "toolCallId": request.call_id or None,
        "toolName": request.tool or None,
        "allowedDecisions": list(request.allowed),
        "turnSourceChannel": None,
    }
    unavailable = [one for one in DECISIONS if one not in request.allowed]
    if unavailable:
        common["unavailableDecisions"] = unavailable
    if request.kind == "plugin":
        return common | _plugin(request)
    return common | {
        "command": request.command,
        "commandPreview": preview(request.command),
        "commandArgv": None if request.argv is None else list(request.argv),
        "cwd": request.directory or None,
        "envKeys": list(request.env_names),
        "host": request.host,
        "nodeId": None,
        "security": request.security,
        "ask": request.ask,
        "resolvedPath": request.resolved_path,
        "warningText": "\n".join(request.warnings) or None,
        "commandAnalysis": {
            "commandCount": request.command_count,
            "nestedCommandCount": 0,
            "riskKinds": [],
            "warningLines": list(request.warnings),
        },
    }


def _plugin(request: ApprovalRequest) -> dict[str, Any]:
    mcp_tool = request.mcp_tool
    return {
        "title": request.title,
        "description": request.description,
        "detail": request.detail,
        "severity": request.severity,
        "mcpTool": mcp_tool and {"server": mcp_tool.server, "tool": mcp_tool.tool},
    }


def preview(command: str) -> str:
    """The beginning of a command, on one line."""
    line = " ".join(command.split())
    return line if len(line) <= MAX_PREVIEW else line[: MAX_PREVIEW - 1] + "…"
