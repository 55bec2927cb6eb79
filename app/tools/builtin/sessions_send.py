"""`sessions_send`: asks the agent of another conversation."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from app.sessions.base import SessionStore
from app.sessions.keys import space_of
from app.tools.base import Invocation, RunContext, Tool, ToolError, ToolOutput, define_tool
from app.tools.parameters import Parameters
from app.tools.sessions.host import Messenger
from app.tools.sessions.rows import as_json
from app.tools.sessions.scope import SessionScope
from app.tools.untrusted import wrap_untrusted

DEFAULT_WAIT, MAX_WAIT = 30.0, 600.0  # seconds
MAX_MESSAGE = 100_000  # characters


class SessionsSend(Parameters):
    message: Annotated[str, Meta(description="What to say.", min_length=1, max_length=MAX_MESSAGE)]
    session_key: Annotated[str, Meta(description="The session's key.")] | None = None
    label: Annotated[str, Meta(description="Or its label.")] | None = None
    agent_id: Annotated[str, Meta(description="Or an agent: its main session.")] | None = None
    timeout_seconds: Annotated[
        float, Meta(description="How long to wait for the answer; 0: not at all. Default 30.", ge=0)
    ] = DEFAULT_WAIT
    watch: bool | None = None
    mode: Literal["notify", "steer", "followup", "resume"] | None = None


class SessionsSendTool:
    def __init__(self, store: SessionStore, messenger: Messenger) -> None:
        self._store, self._messenger = store, messenger

    def tool(self) -> Tool:
        return define_tool(
            "sessions_send",
            "Send a message to another conversation that you may see: its agent answers there. Waits for the "
            "answer, unless timeoutSeconds is 0.",
            SessionsSend,
            self._send,
            summary="ask the agent of another conversation",
            seconds=None,
        )

    def _send(self, call: Invocation, given: SessionsSend) -> ToolOutput:
        key = self._key(call.run, given)
        seconds = min(given.timeout_seconds, MAX_WAIT)
        reply = self._messenger.send(call.run, key, given.message, seconds, call.cancel)
        answer: dict[str, Any] = {"runId": reply.run_id, "sessionKey": reply.session_key}
        if reply.error is not None:
            return as_json({"status": "error", **answer, "error": reply.error})
        if reply.text is not None:
            shown = {**answer, "status": "ok", "reply": reply.text}
            text = wrap_untrusted(reply.text, f"the agent of the session {key}")
            return ToolOutput(text, details=shown)
        status = "timeout" if seconds else "accepted"
        note = "Its answer comes in that session: read it with sessions_history."
        return as_json({"status": status, **answer, "note": note})

    def _key(self, run: RunContext, given: SessionsSend) -> str:
        scope = SessionScope(run, self._store.index)
        if given.session_key:
            return scope.key(given.session_key)
        if given.label:
            return scope.labelled(given.label, given.agent_id)
        if not given.agent_id:
            raise ToolError("Give `sessionKey`, `label` or `agentId`.")
        settings, wanted = run.settings(), given.agent_id.strip().lower()
        if settings.agent(wanted) is None:
            raise ToolError(f"There is no agent {wanted[:80]!r}.")
        return scope.key(f"agent:{wanted}:{space_of(run.session_key)}{settings.session.main_key}")
