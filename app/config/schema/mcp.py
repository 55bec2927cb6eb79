"""`mcp`: servers of the Model Context Protocol, whose tools agents may use."""

from __future__ import annotations

from typing import Any

from marshmallow import ValidationError, validates_schema

from app.config.schema import checks, openclaw
from app.config.schema.fields import Boolean, Enum, FilePath, Milliseconds, String, StringList
from app.config.schema.nesting import MappingField, Nested
from app.config.schema.section import Section
from app.config.tool_settings import McpServerSettings, McpSettings, McpToolFilter, McpTransport

_TRANSPORTS = {
    "http": "streamable-http",
    "streamableHttp": "streamable-http",
    "streamable_http": "streamable-http",
}


class Arguments(StringList):
    """The arguments of a program: as they are written, repeated and empty ones too."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> tuple[str, ...]:
        if not isinstance(value, list):
            raise ValidationError("must be a list")
        wrong = {index: ["must be text"] for index, item in enumerate(value) if not _is_argument(item)}
        if wrong:
            raise ValidationError(wrong)
        return tuple(value)


def _is_argument(item: Any) -> bool:
    return isinstance(item, str) and "\0" not in item


def _variable_name(text: str) -> str:
    if not text.strip() or "=" in text or "\0" in text:
        raise ValidationError("is not the name of an environment variable")
    return text


class McpToolFilterSchema(Section):
    makes = McpToolFilter
    included = StringList("Offer only these of the server's tools; globs.", data_key="include")
    excluded = StringList("Never offer these; globs.", data_key="exclude")


class McpServerSchema(Section):
    defaults = McpServerSettings
    unused = openclaw.MCP_SERVER
    enabled = Boolean("Whether the server is used.")
    command = String("The program to run; it speaks on its standard input and output.", check=checks.filled)
    args = Arguments("Its arguments.")
    env = MappingField(
        "Environment variables for it. Of the gateway's own it gets only harmless ones, such as `PATH`.",
        String("A value.", secret=True),
        name=_variable_name,
    )
    cwd = FilePath(
        "Its working directory. Not set: `mcp` in the state directory, where no agent can write.",
        check=checks.filled,
    )
    working_directory = FilePath("OpenClaw's other name for `cwd`.", check=checks.filled)
    url = String("The address of a server that is reached by HTTP.", check=checks.mcp_url)
    transport = Enum(
        "How it is spoken to. Not set: `stdio` for a `command`; for a `url` `streamable-http`, or `sse` if "
        "the server knows nothing else.",
        McpTransport,
        aliases=_TRANSPORTS,
    )
    type = Enum("Another name for `transport`.", McpTransport, aliases=_TRANSPORTS)
    headers = MappingField(
        "Headers to send with each request.",
        String("A header's value.", secret=True, check=checks.header_value),
        name=checks.header_name,
    )
    connection_timeout_seconds = Milliseconds(
        "The longest that its start may take, until its tools are known.",
        low=1,
        data_key="connectionTimeoutMs",
    )
    request_timeout_seconds = Milliseconds(
        "The longest that one request may take.", low=1, data_key="requestTimeoutMs"
    )
    supports_parallel_tool_calls = Boolean("Whether the calls of one turn may run beside each other.")
    ssl_verify = Boolean("Whether its certificate is checked.")
    tool_filter = Nested(McpToolFilterSchema)

    @validates_schema(skip_on_field_errors=True)
    def _fits_together(self, data: dict[str, Any], **_: Any) -> None:
        if ("command" in data) == ("url" in data):
            raise ValidationError("needs either `command` or `url`")
        for one, other in (("cwd", "working_directory"), ("transport", "type")):
            if one in data and other in data and data[one] != data[other]:
                raise ValidationError(
                    f"`{self.fields[one].data_key}` and `{self.fields[other].data_key}` differ"
                )
        transport = data.get("transport") or data.get("type")
        if transport is not None and (transport == "stdio") != ("command" in data):
            raise ValidationError("a `command` is spoken to by `stdio`, a `url` by one of the others")


class McpSchema(Section):
    defaults = McpSettings
    unused = openclaw.MCP
    servers = MappingField("The servers by name.", Nested(McpServerSchema), name=checks.filled)
