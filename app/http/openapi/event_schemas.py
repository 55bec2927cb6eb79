"""Schemas of what a caller sees of a run with `x-openclaw-events`, for the OpenAPI document only."""

from __future__ import annotations

from marshmallow import Schema, fields
from marshmallow.validate import OneOf, Range


class RunEvent(Schema):
    """Something that happened in the run: only for callers who ask for it with `x-openclaw-events`."""

    type = fields.String(
        required=True,
        validate=OneOf(
            ["tool.start", "tool.update", "tool.result", "approval.requested", "approval.resolved"]
        ),
    )
    tool_call_id = fields.String(required=True, metadata={"description": "The call that it is about."})
    name = fields.String(metadata={"description": "The tool, of `tool.…` events."})
    arguments = fields.Dict(metadata={"description": "Of `tool.start`."})
    output = fields.String(metadata={"description": "Of a tool: so far, or in the end."})
    details = fields.Dict(metadata={"description": "The result for programs; depends on the tool."})
    is_error = fields.Boolean()
    duration_ms = fields.Integer(validate=Range(min=0))
    approval_id = fields.String(metadata={"description": "Of `approval.…` events."})
    approval = fields.Dict(metadata={"description": "What is to be approved."})
    decision = fields.String(allow_none=True)


class ToolUse(Schema):
    """A call of one of the agent's own tools."""

    tool_call_id = fields.String(required=True, metadata={"description": "The model's id of the call."})
    name = fields.String(required=True, metadata={"description": "The tool."})
    arguments = fields.Dict(required=True)
    output = fields.String(required=True, metadata={"description": "What the model got."})
    details = fields.Dict(required=True)
    is_error = fields.Boolean(required=True)
    duration_ms = fields.Integer(required=True, validate=Range(min=0), metadata={"description": "Its time."})


class ApprovalEnd(Schema):
    approval_id = fields.String(required=True, metadata={"description": "Its id."})
    tool_call_id = fields.String(required=True, metadata={"description": "The call that waited for it."})
    decision = fields.String(required=True, allow_none=True)


class RunEvents(Schema):
    """What happened in the run: only for callers who ask for it with `x-openclaw-events`."""

    tools = fields.List(fields.Nested(ToolUse))
    approvals = fields.List(fields.Nested(ApprovalEnd))
