"""Schemas of `/v1/approvals`, for the OpenAPI document only."""

from __future__ import annotations

from typing import get_args

from marshmallow import Schema, fields
from marshmallow.validate import OneOf

from app.http.openapi.answer_schemas import count, text
from app.tools.approvals.record import DECISIONS, Kind, ResolverKind, State


class ApprovalPresentation(Schema):
    """What is asked: a command (`exec`), or another call (`plugin`). Secrets are replaced."""

    kind = fields.String(required=True, validate=OneOf(get_args(Kind)))
    agentId = text("Whose call it is.")  # noqa: N815
    sessionKey = fields.String(required=True, allow_none=True)  # noqa: N815
    runId = fields.String(required=True, allow_none=True)  # noqa: N815
    toolCallId = fields.String(required=True, allow_none=True)  # noqa: N815
    toolName = fields.String(required=True, allow_none=True)  # noqa: N815
    allowedDecisions = fields.List(  # noqa: N815
        fields.String(validate=OneOf(DECISIONS)),
        required=True,
    )
    commandText = fields.String(metadata={"description": "The whole command."})  # noqa: N815
    commandPreview = fields.String()  # noqa: N815
    warningText = fields.String(allow_none=True)  # noqa: N815
    host = fields.String()
    nodeId = fields.String(allow_none=True)  # noqa: N815
    cwd = fields.String(allow_none=True, metadata={"description": "Where it would run."})
    envNames = fields.List(  # noqa: N815
        fields.String(), metadata={"description": "The variables it sets, without their values."}
    )
    title = fields.String()
    description = fields.String()
    detail = fields.String(allow_none=True)
    severity = fields.String(allow_none=True)
    mcpTool = fields.Dict(allow_none=True)  # noqa: N815


class ApprovalResolver(Schema):
    kind = fields.String(required=True, validate=OneOf(get_args(ResolverKind)))
    id = text("The client, the user, or the gateway itself.")


class ApprovalSource(Schema):
    agentId = text("Whose call it was.")  # noqa: N815
    sessionKey = fields.String(required=True, allow_none=True)  # noqa: N815


class Approval(Schema):
    """A call that waits for somebody, or what became of it; what follows `expiresAtMs` is there then."""

    id = text("Its id.")
    status = fields.String(required=True, validate=OneOf(get_args(State)))
    presentation = fields.Nested(ApprovalPresentation, required=True)
    urlPath = text("Reserved for a page.")  # noqa: N815
    createdAtMs = count("Milliseconds since 1970.")  # noqa: N815
    expiresAtMs = count("When nobody needs to answer any more.")  # noqa: N815
    resolvedAtMs = fields.Integer()  # noqa: N815
    decision = fields.String(allow_none=True, validate=OneOf(DECISIONS))
    reason = fields.String(metadata={"description": "`user`, `timeout`, `run-ended` or `gateway-restart`."})
    source = fields.Nested(ApprovalSource)
    resolver = fields.Nested(ApprovalResolver)


class ApprovalList(Schema):
    approvals = fields.List(fields.Nested(Approval), required=True)


class ApprovalDecision(Schema):
    decision = fields.String(required=True, validate=OneOf(DECISIONS))


COMPONENTS: tuple[type[Schema], ...] = (ApprovalList, ApprovalDecision)
