"""`mcp`: servers of the Model Context Protocol, whose tools agents may use."""

from __future__ import annotations

from typing import Any

from marshmallow import ValidationError, validates_schema

from app.config.schema import checks, openclaw
from app.config.schema.fields import Boolean, Enum, FilePath, Milliseconds, String, StringList
from app.config.schema.nesting import MappingField, Nested
from app.config.schema.section import Section
from app.config.tool_settings import McpServerSettings, McpSettings, McpToolFilter, McpTransport


class McpToolFilterSchema(Section):
    makes = McpToolFilter
    included = StringList("Offer only these of the server's tools; globs.", data_key="include")
    excluded = StringList("Never offer these; globs.", data_key="exclude")


class McpServerSchema(Section):
    makes = McpServerSettings
    unused = openclaw.MCP_SERVER
    enabled = Boolean("Whether the server is used.")
    command = String("The program to run; it speaks on its standard input and output.", check=checks.filled)
    args = StringList("Its arguments.")
    env = MappingField("Environment variables for it.", String("A value.", secret=True))
    cwd = FilePath("Its working directory.", check=checks.filled)
    url = String("The address of a server that is reached by HTTP.", check=checks.base_url)
    transport = Enum(
        "How it is spoken to. Not set: `stdio` for a `command`, else `streamable-http`.",
        McpTransport,
        aliases={"http": "streamable-http", "streamableHttp": "streamable-http"},
    )
    headers = MappingField(
        "Headers to send with each request.",
        String("A header's value.", secret=True, check=checks.header_value),
        name=checks.header_name,
    )
    connection_timeout_seconds = Milliseconds(
        "The longest that its start may take.", low=1, data_key="connectionTimeoutMs"
    )
    request_timeout_seconds = Milliseconds(
        "The longest that one request may take.", low=1, data_key="requestTimeoutMs"
    )
    supports_parallel_tool_calls = Boolean("Whether several of its tools may be called at the same time.")
    ssl_verify = Boolean("Whether its certificate is checked.")
    tool_filter = Nested(McpToolFilterSchema)

    @validates_schema(skip_on_field_errors=True)
    def _command_or_url(self, data: dict[str, Any], **_: Any) -> None:
        if ("command" in data) == ("url" in data):
            raise ValidationError("needs either `command` or `url`")


class McpSchema(Section):
    makes = McpSettings
    unused = openclaw.MCP
    servers = MappingField("The servers by name.", Nested(McpServerSchema), name=checks.filled)
