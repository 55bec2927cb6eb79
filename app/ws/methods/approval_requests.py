"""What clients ask approvals for themselves: `exec.approval.request`, `plugin.approval.request`."""

from __future__ import annotations

from typing import Any

import msgspec

from app.routing.operator import resolve_agent_id
from app.tools.approvals.record import DECISIONS, MAX_COMMAND, ApprovalRequest, McpTool
from app.tools.exec.describe import digest_of_texts, visible
from app.ws.call import Call
from app.ws.methods.session_rows import canonical_key

MAX_TITLE, MAX_DESCRIPTION, MAX_DETAIL = 80, 512, 16_384


def load_exec(call: Call) -> ApprovalRequest:
    """A command of the client's own. Raises InvalidRequest."""
    params = call.params
    argv = params.texts("commandArgv")
    command = params.optional_text("command") or " ".join(argv)
    if not command or len(command) > MAX_COMMAND:
        raise params.wrong("at /command", f"must have 1 to {MAX_COMMAND} characters")
    env = params.given.get("env") or {}
    if not isinstance(env, dict) or not all(isinstance(one, str) for one in env.values()):
        raise params.wrong("at /env", "must be an object of strings")
    unavailable = params.texts("unavailableDecisions")
    cwd, secrets = params.optional_text("cwd") or "", call.gateway.approvals.secrets()
    warning = params.optional_text("warningText")
    return ApprovalRequest(
        kind="exec",
        digest=digest_of_texts([command, argv, cwd, sorted(env.items())]),
        allowed=tuple(one for one in DECISIONS if one == "deny" or one not in unavailable),
        command=visible(command, secrets),
        directory=cwd,
        env_names=tuple(sorted(env)),
        resolved_path=params.optional_text("resolvedPath"),
        host=params.optional_text("host") or "gateway",
        security=params.optional_text("security"),
        ask=params.optional_text("ask"),
        command_count=1,
        warnings=() if warning is None else (warning[:MAX_DESCRIPTION],),
        tool="exec",
        **_place(call),
    )


def load_plugin(call: Call) -> ApprovalRequest:
    """Anything else. Raises InvalidRequest."""
    params = call.params
    title, description = params.text("title"), params.text("description")
    detail, severity = params.optional_text("detail"), params.optional_text("severity")
    for name, text, most in (
        ("title", title, MAX_TITLE),
        ("description", description, MAX_DESCRIPTION),
        ("detail", detail or "", MAX_DETAIL),
    ):
        if len(text) > most:
            raise params.wrong(f"at /{name}", f"must NOT have more than {most} characters")
    if severity not in (None, "info", "warning", "critical"):
        raise params.wrong("at /severity", "must be info, warning or critical")
    allowed = params.texts("allowedDecisions") or list(DECISIONS)
    return ApprovalRequest(
        kind="plugin",
        allowed=tuple(one for one in DECISIONS if one == "deny" or one in allowed),
        title=title,
        description=description,
        detail=detail,
        severity=severity,
        mcp_tool=_mcp_tool(call),
        tool=params.optional_text("toolName") or "",
        digest=digest_of_texts([title, description, detail]),
        **_place(call),
    )


def _mcp_tool(call: Call) -> McpTool | None:
    given = call.params.given.get("mcpTool")
    if given is None:
        return None
    try:
        return msgspec.convert(given, McpTool)
    except msgspec.ValidationError as error:
        raise call.params.wrong("at /mcpTool", "must be an object with server and tool") from error


def _place(call: Call) -> dict[str, Any]:
    """Whose call it is, as the client says."""
    params = call.params
    agent_id = resolve_agent_id(params.optional_text("agentId"), call.gateway.settings)
    key = params.optional_text("sessionKey") or ("" if call.owner is None else "main")
    return {
        "agent_id": agent_id,
        "session_key": canonical_key(call, key) if key else "",
        "run_id": params.optional_text("runId") or "",
        "call_id": params.optional_text("toolCallId") or "",
    }
