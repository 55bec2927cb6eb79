"""`session_status`: the time, the model, and what the session has used."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from msgspec import Meta

from app import VERSION
from app.auth.grants import require_model_choice, require_session_model
from app.errors import GatewayError
from app.sessions.base import SessionStore
from app.sessions.rows import StoredSession
from app.tools.base import Invocation, RunContext, Tool, ToolError, ToolOutput, define_tool
from app.tools.parameters import Parameters
from app.tools.sessions.host import SessionHost
from app.tools.sessions.scope import SessionScope


class SessionStatus(Parameters):
    session_key: Annotated[str, Meta(description="Another session; default: this one.")] | None = None
    model: (
        Annotated[str, Meta(description="Set the session's model, `provider/model`; `default` undoes that.")]
        | None
    ) = None
    changes_since: Annotated[int, Meta(description="A stateVersion that you know.", ge=0)] | None = None


class SessionStatusTool:
    def __init__(self, store: SessionStore, host: SessionHost) -> None:
        self._store, self._host = store, host

    def tool(self) -> Tool:
        return define_tool(
            "session_status",
            "Show the date and time, the model, and what this session (or another) has used. Can set the "
            "session's model.",
            SessionStatus,
            self._status,
            summary="show the time, the model and the usage",
        )

    def _status(self, call: Invocation, given: SessionStatus) -> ToolOutput:
        run, scope = call.run, SessionScope(call.run, self._store.index)
        key = scope.key(given.session_key) if given.session_key else run.session_key
        session = self._store.index.describe(key)
        if session is None and key != run.session_key:
            session = scope.session(given.session_key or "")
        changed = False
        if given.model and given.model.strip():
            session = self._set_model(run, key, session, given.model.strip())
            changed = True
        return self._show(run, key, session, changed, given.changes_since)

    def _set_model(
        self, run: RunContext, key: str, session: StoredSession | None, wanted: str
    ) -> StoredSession:
        try:
            require_model_choice(run.principal)
            require_session_model(run.principal)
        except GatewayError:
            raise ToolError("Whoever asked you may not choose the model: it stays as it is.") from None
        if session is None:
            raise ToolError("This conversation is not stored, so its model cannot be set.")
        model = None if wanted.lower() == "default" else self._host.known_model(wanted)
        return self._store.index.patch(key, session.agent_id, {"model": model})

    def _show(
        self, run: RunContext, key: str, session: StoredSession | None, changed: bool, since: int | None
    ) -> ToolOutput:
        agent_id = run.agent_id if session is None else session.agent_id
        override = None if session is None else session.settings.get("model")
        model, now = self._host.model_of(agent_id, override), _local_now(run.agent.user_timezone)
        version = 0 if session is None else session.updated_at
        lines = [
            f"OpenClaw Gateway {VERSION}",
            f"Time: {now:%A, %Y-%m-%d %H:%M:%S} ({run.agent.user_timezone or now.tzname()}, UTC{now:%z})",
            f"Session: {key}{' (not stored)' if session is None else ''}",
            f"Agent: {agent_id}",
            f"Model: {model}",
            f"State: {'at work' if self._host.is_active(key) else 'idle'}",
            *_usage(session, self._host.context_tokens(model)),
        ]
        details: dict[str, Any] = {
            "ok": True,
            "sessionKey": key,
            "agentId": agent_id,
            "changedModel": changed,
            "stateVersion": version,
            "statusText": "\n".join(lines),
        }
        if since is not None:
            details["changed"] = version > since
            lines.append(f"Changed since {since}: {'yes' if version > since else 'no'}")
        return ToolOutput("\n".join(lines), details)


def _usage(session: StoredSession | None, window: int | None) -> list[str]:
    if session is None or session.total_tokens is None:
        return []
    used = f"Last run: {session.prompt_tokens} tokens in, {session.completion_tokens or 0} out"
    return [used + (f"; the model takes {window}" if window else ""), f"Runs: {session.run_count}"]


def _local_now(time_zone: str | None) -> datetime:
    return datetime.now(ZoneInfo(time_zone)) if time_zone else datetime.now().astimezone()
