"""Schemas of `/v1/sessions`, for the OpenAPI document only."""

from __future__ import annotations

from typing import Any, get_args

from marshmallow import INCLUDE, Schema, fields
from marshmallow.validate import OneOf, Range

from app.control.session_state import PHASES
from app.http.openapi.answer_schemas import count, text
from app.http.openapi.approval_schemas import Approval
from app.http.openapi.message_schemas import either
from app.messages import Role
from app.sessions.stored import MessageState, RunState

MOMENT = "Milliseconds since 1970."


def known(doc: str) -> fields.String:
    """A text, null where there is none."""
    return fields.String(required=True, allow_none=True, metadata={"description": doc})


def number(doc: str) -> fields.Integer:
    """A count, null where it is not known."""
    return fields.Integer(
        required=True, allow_none=True, validate=Range(min=0), metadata={"description": doc}
    )


class SessionRun(Schema):
    id = text("The run's id.")
    state = fields.String(required=True, validate=OneOf(("queued", "running")))
    startedAt = count(MOMENT)  # noqa: N815


class ActiveTool(Schema):
    id = text("The call's id.")
    name = text("The tool's name.")
    runId = text("The run that calls it.")  # noqa: N815
    calledAt = count(MOMENT)  # noqa: N815


class Session(Schema):
    """A stored conversation, and what goes on in it."""

    key = text("Its full key.")
    agentId = text("The agent that answers in it.")  # noqa: N815
    sessionId = text("Its id, which no later session of the same key has.")  # noqa: N815
    label = known("The name it was given.")
    displayName = known("A name for people.")  # noqa: N815
    title = known("How the conversation begins.")
    preview = known("How its last message begins.")
    model = text("`provider/model` that answers next.")
    thinkingLevel = known("How much the model thinks; null: as its agent says.")  # noqa: N815
    settings = fields.Dict(required=True, metadata={"description": "All that was set for it."})
    contextTokens = number("What the model takes.")  # noqa: N815
    inputTokens = number("Of the newest run whose usage is known.")  # noqa: N815
    outputTokens = number("The same.")  # noqa: N815
    totalTokens = number("Both together.")  # noqa: N815
    messageCount = count("Its messages.")  # noqa: N815
    runCount = count("The runs it has ever had.")  # noqa: N815
    resetCount = count("How often it was reset.")  # noqa: N815
    createdAt = count(MOMENT)  # noqa: N815
    updatedAt = count(MOMENT)  # noqa: N815
    spawnedBy = known("The session whose agent has started it.")  # noqa: N815
    forkedFrom = fields.Dict(  # noqa: N815
        required=True, allow_none=True, metadata={"description": "Of a fork: `{key, messageId}`."}
    )
    phase = fields.String(required=True, validate=OneOf(PHASES))
    runs = fields.List(fields.Nested(SessionRun), required=True)
    activeTools = fields.List(fields.Nested(ActiveTool), required=True)  # noqa: N815
    pendingApprovals = fields.List(fields.Nested(Approval), required=True)  # noqa: N815
    lastEventId = number("The number of the newest event of `lastEventRunId`.")  # noqa: N815
    lastEventRunId = known("The run whose events these are.")  # noqa: N815


class SessionList(Schema):
    sessions = fields.List(fields.Nested(Session), required=True)
    hasMore = fields.Boolean(required=True)  # noqa: N815
    next = known("What to give as `after` for the next page.")


class SessionUsage(Schema):
    prompt_tokens = count()
    completion_tokens = count()
    total_tokens = count()


class StoredMessage(Schema):
    """A message as the OpenAI API has it, and what is known of it. The last four: of the assistant's."""

    id = text("Its id, for paging and for forks.")
    role = fields.String(required=True, validate=OneOf(get_args(Role)))
    content = either(
        "Text, or parts with pictures.",
        {"type": "string"},
        {"type": "array", "items": {"type": "object"}},
        {"type": "null"},
        required=True,
    )
    tool_calls = fields.List(fields.Dict())
    tool_call_id = fields.String()
    name = fields.String()
    refusal = fields.String()
    createdAt = count(MOMENT)  # noqa: N815
    state = fields.String(required=True, validate=OneOf(get_args(MessageState)))
    runId = text("The run that it belongs to.")  # noqa: N815
    runState = fields.String(required=True, validate=OneOf(get_args(RunState)))  # noqa: N815
    source = text("How the run was asked for: `http`, `ws`, `cli`, `agent`, `inject`, `fork`, `import`.")
    model = fields.String(allow_none=True)
    usage = fields.Nested(SessionUsage, allow_none=True)
    finishReason = fields.String(allow_none=True)  # noqa: N815
    error = fields.String(allow_none=True)


class SessionHistory(Schema):
    key = text("The session's full key.")
    sessionId = text("Its id.")  # noqa: N815
    messages = fields.List(fields.Nested(StoredMessage), required=True)
    hasOlder = fields.Boolean(required=True)  # noqa: N815
    hasNewer = fields.Boolean(required=True)  # noqa: N815


LABEL: dict[str, Any] = {"description": "A name that no other session has.", "minLength": 1}


class SessionPatch(Schema):
    """What to set; null clears it. Other names are kept as they are, for clients that know them."""

    class Meta:
        unknown = INCLUDE

    label = fields.String(allow_none=True, metadata=LABEL)
    displayName = fields.String(allow_none=True)  # noqa: N815
    model = fields.String(allow_none=True, metadata={"description": "`provider/model`"})
    thinkingLevel = fields.String(allow_none=True)  # noqa: N815


class SessionDeleted(Schema):
    key = text("The key it had.")
    deleted = fields.Boolean(required=True)


class SessionCompact(Schema):
    maxMessages = fields.Integer(  # noqa: N815
        allow_none=True,
        strict=True,
        validate=Range(min=1, max=2**31 - 1),
        metadata={"description": "How many of the newest stay; 400 if left out."},
    )


class SessionCompacted(Schema):
    key = text("The session's full key.")
    messages = count("That are left.")
    removed = count("That are gone.")


class SessionFork(Schema):
    messageId = fields.String(  # noqa: N815
        allow_none=True, metadata={"description": "The last message to copy; all of them if left out."}
    )


class SessionForked(Schema):
    key = text("The new session's full key.")


class SkippedOfImport(Schema):
    messages = count("System messages, which no session has.")
    settings = fields.List(fields.String(), required=True)


class SessionImported(Schema):
    key = text("The session's full key.")
    messages = count("That it has now.")
    skipped = fields.Nested(SkippedOfImport, required=True)


COMPONENTS: tuple[type[Schema], ...] = (
    SessionList,
    SessionHistory,
    SessionPatch,
    SessionDeleted,
    SessionCompact,
    SessionCompacted,
    SessionFork,
    SessionForked,
    SessionImported,
)
