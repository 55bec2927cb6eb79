"""Sessions and their messages as JSON (docs/sessions.md#a-session-as-json, #paging). Pure."""

from __future__ import annotations

from typing import Any

from app.auth.grants import is_granted
from app.auth.principal import Principal
from app.auth.scopes import APPROVALS
from app.control.session_state import SessionState
from app.control.session_views import SessionView
from app.messages import EXTRA_PROVIDER, Extra, ImagePart, Message, TextPart, ToolCall
from app.sessions.keys import shown_run_id
from app.sessions.rows import FORKED_FROM, SPAWNED_BY, StoredSession, TranscriptRow
from app.tools.approvals.snapshot import snapshot


def dump_view(view: SessionView, principal: Principal) -> dict[str, Any]:
    """A session and what goes on in it. What waits for approval is shown to those who may approve."""
    return {
        **_dump_session(view.session),
        "model": view.model,
        "contextTokens": view.context_tokens,
        "messageCount": view.messages,
        **_dump_state(view.state, view.session.key, is_granted(principal, APPROVALS)),
    }


def _dump_session(session: StoredSession) -> dict[str, Any]:
    settings = session.settings
    return {
        "key": session.key,
        "agentId": session.agent_id,
        "sessionId": session.session_id,
        "label": session.label,
        "displayName": settings.get("displayName"),
        "title": session.title,
        "preview": session.preview,
        "thinkingLevel": settings.get("thinkingLevel"),
        "settings": dict(settings),
        "inputTokens": session.prompt_tokens,
        "outputTokens": session.completion_tokens,
        "totalTokens": session.total_tokens,
        "runCount": session.run_count,
        "resetCount": session.revision,
        "createdAt": session.created_at,
        "updatedAt": session.updated_at,
        "spawnedBy": settings.get(SPAWNED_BY),
        "forkedFrom": settings.get(FORKED_FROM),
    }


def _dump_state(state: SessionState, key: str, is_approver: bool) -> dict[str, Any]:
    return {
        "phase": state.phase,
        "runs": [
            {"id": one.id, "state": "queued" if one.is_queued else "running", "startedAt": one.started_at}
            for one in state.runs
        ],
        "activeTools": [
            {
                "id": one.id,
                "name": one.name,
                "runId": shown_run_id(one.run_id, key),
                "calledAt": one.called_at,
            }
            for one in state.calls
        ],
        "pendingApprovals": [snapshot(one) for one in state.approvals] if is_approver else [],
        "lastEventId": state.last_event_id,
        "lastEventRunId": state.events_of,
    }


def dump_row(row: TranscriptRow, key: str) -> dict[str, Any]:
    """A message as the OpenAI API has it, with what is known of it besides."""
    return {
        "id": row.id,
        **dump_message(row.message),
        "createdAt": row.created_at,
        "state": row.state,
        "runId": shown_run_id(row.run_id, key),
        "runState": row.run_state,
        "source": row.source,
        **(_dump_answer(row) if row.message.role == "assistant" else {}),
    }


def _dump_answer(row: TranscriptRow) -> dict[str, Any]:
    """What the run of an answer came to."""
    usage = None
    if row.prompt_tokens is not None:
        total = row.prompt_tokens + (row.completion_tokens or 0)
        usage = {
            "prompt_tokens": row.prompt_tokens,
            "completion_tokens": row.completion_tokens or 0,
            "total_tokens": total,
        }
    return {"model": row.model, "usage": usage, "finishReason": row.finish_reason, "error": row.error}


def dump_message(message: Message) -> dict[str, Any]:
    """The message as a request may have it: `load_message` of chat completions takes it back."""
    fields: dict[str, Any] = {"role": message.role, "content": _content(message)}
    if message.tool_calls:
        fields["tool_calls"] = [_tool_call(call) for call in message.tool_calls]
    if message.tool_call_id is not None:
        fields["tool_call_id"] = message.tool_call_id
    if message.name is not None:
        fields["name"] = message.name
    if message.refusal is not None:
        fields["refusal"] = message.refusal
    return fields | _extra(message.extra)


def _content(message: Message) -> Any:
    if isinstance(message.content, str):
        is_absent = not message.content and (message.tool_calls or message.refusal)
        return None if is_absent else message.content
    return [_part(part) for part in message.content]


def _part(part: TextPart | ImagePart) -> dict[str, Any]:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    return {"type": "image_url", "image_url": {"url": part.data_uri}}


def _tool_call(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function, **_extra(call.extra)}


def _extra(extra: Extra | None) -> dict[str, Any]:
    return {} if extra is None else {**extra.fields, EXTRA_PROVIDER: extra.provider}
