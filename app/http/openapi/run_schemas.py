"""Schemas of `/v1/runs`, for the OpenAPI document only."""

from __future__ import annotations

from typing import Any, get_args

from marshmallow import Schema, fields
from marshmallow.validate import Equal, OneOf, Range

from app.control.run_views import STATES
from app.http.openapi.answer_schemas import REASONS, ChatCompletion, Usage, count, text
from app.http.openapi.session_schemas import MOMENT, known, number
from app.runs.progress import Phase, ToolState


class RunFault(Schema):
    code = text("For programs.")
    message = text("For people.")


class Run(Schema):
    """One request answered, or being answered."""

    id = text("Its id, also that of its answer.")
    object = fields.String(required=True, validate=Equal("run"))
    sessionKey = text("The session it is in; one of its own if its caller named none.")  # noqa: N815
    agentId = text("Who answers.")  # noqa: N815
    source = known("How it was asked for: `http`, `ws`, `agent` or `cli`.")
    state = fields.String(required=True, validate=OneOf(STATES))
    phase = fields.String(required=True, validate=OneOf(get_args(Phase)))
    createdAt = count(MOMENT)  # noqa: N815
    startedAt = number("When it left the queue of its session.")  # noqa: N815
    endedAt = number(MOMENT)  # noqa: N815
    model = known("`provider/model` that answered, once that is known.")
    finishReason = fields.String(required=True, allow_none=True, validate=OneOf(REASONS))  # noqa: N815
    usage = fields.Nested(Usage, required=True, allow_none=True)
    cost = fields.Raw(required=True, metadata={"type": "null"})
    error = fields.Nested(RunFault, required=True, allow_none=True)
    lastEventId = number("The number of its newest event, while its events are kept.")  # noqa: N815


class RunTool(Schema):
    toolCallId = text("The model's id of the call.")  # noqa: N815
    name = text("The tool.")
    state = fields.String(required=True, validate=OneOf(get_args(ToolState)))
    seconds = fields.Float(required=True, allow_none=True, validate=Range(min=0))


class WholeRun(Run):
    """A run with its tools and its answer."""

    tools = fields.List(fields.Nested(RunTool), required=True)
    pendingApprovals = fields.List(fields.String(), required=True)  # noqa: N815
    answer = fields.Nested(ChatCompletion, required=True, allow_none=True)


class RunList(Schema):
    runs = fields.List(fields.Nested(Run), required=True)
    hasMore = fields.Boolean(required=True)  # noqa: N815
    next = known("What to give as `after` for the next page.")


class RunAccepted(Schema):
    """A run that goes on by itself."""

    id = text("Its id: see `/v1/runs/{id}`.")
    state = fields.String(
        required=True,
        validate=OneOf(STATES),
        metadata={"description": "It may have ended if the request is a repetition, with its key."},
    )


RUN_STREAM: dict[str, Any] = {
    "description": "One event of `/v1/runs/{id}/events`.",
    "type": "object",
    "required": ["data"],
    "properties": {
        "id": {"type": "string", "pattern": "^[0-9]+$", "description": "The event's number, from 1."},
        "event": {"type": "string", "description": "Its kind."},
        "data": {"type": "string", "contentMediaType": "application/json"},
    },
}

COMPONENTS: tuple[type[Schema], ...] = (WholeRun, RunList, RunAccepted)
