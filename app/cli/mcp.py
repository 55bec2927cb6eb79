"""`python -m app mcp`: the configured MCP servers, their tools, and calls of them, in this process alone.

No gateway and no agent take part, so no policy applies: whoever may read the configuration may do this.
"""

from __future__ import annotations

import argparse
import logging.config
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import orjson

from app.cli.errors import WrongUse
from app.cli.exit_codes import EXIT_FAILED, EXIT_OK, EXIT_TRY_AGAIN, exit_code
from app.cli.output import one_line, print_error, print_json, print_table, print_text
from app.config.loader import load_settings
from app.config.settings import Settings
from app.config.tool_settings import McpServerSettings
from app.logs.lines import logging_config
from app.tools.base import ToolError, ToolOutput
from app.tools.mcp.calls import call_server
from app.tools.mcp.listing import ServerTool
from app.tools.mcp.names import prefixes, server_of
from app.tools.mcp.protocol import McpError, RequestFailed, ServerUnavailable
from app.tools.mcp.server import McpServer
from app.tools.mcp.source import McpSource

MAX_ABOUT = 100  # characters of a description in a table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "exit codes: 0 done, 1 the call failed, 2 wrong use, 75 a server is not available, 78 configuration"
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="list the configured servers, without starting any")
    tools = actions.add_parser("tools", help="start servers and list their tools")
    tools.add_argument("servers", nargs="*", metavar="SERVER", help="their names (default: all)")
    call = actions.add_parser("call", help="call a tool and print its result")
    call.add_argument("tool", metavar="SERVER__TOOL", help="its name, as `mcp tools` has it")
    call.add_argument("arguments", nargs="?", default="{}", help="a JSON object; - reads standard input")
    for one, run in ((listing, list_servers), (tools, list_tools), (call, call_tool)):
        one.add_argument("--json", action="store_true", help="print a JSON object")
        one.add_argument("--verbose", "-v", action="store_true", help="log to standard error")
        one.set_defaults(run=run)


def list_servers(args: argparse.Namespace) -> int:
    """Prints the configured servers; an exit code. Raises ConfigError."""
    servers = load_settings(os.environ).mcp.servers
    rows = [
        {
            "server": name,
            "prefix": prefix,
            "transport": _transport(servers[name]),
            "target": _target(servers[name]),
            "enabled": servers[name].enabled,
        }
        for name, prefix in prefixes(servers).items()
    ]
    if args.json:
        print_json({"servers": rows})
    elif rows:
        print_table(list(rows[0]), [[_cell(value) for value in row.values()] for row in rows])
    else:
        print_text("No MCP servers are configured (mcp.servers).", file=sys.stderr)
    return EXIT_OK


def list_tools(args: argparse.Namespace) -> int:
    """Prints the tools of servers; an exit code. Raises ConfigError."""
    settings = _settings(args)
    try:
        names = _named(args.servers, settings.mcp.servers)
    except WrongUse as error:
        print_error(args, error.code, error.message)
        return exit_code(error)
    tools: list[dict[str, Any]] = []
    left_out: dict[str, str] = {}
    failed: dict[str, str] = {}
    with _servers(settings, names) as servers:
        for server in servers:
            try:
                server.ready()
            except ServerUnavailable as error:
                failed[server.name] = server.failure or str(error)
                continue
            assert server.tools is not None
            left_out |= server.tools.left_out
            tools += [
                {
                    "name": tool.spec.name,
                    "server": server.name,
                    "tool": tool.name,
                    "description": tool.spec.description or "",
                    "parameters": tool.spec.parameters or {},
                }
                for tool in server.tools.tools
            ]
    _show_tools(args, tools, left_out, failed)
    return EXIT_TRY_AGAIN if failed else EXIT_OK


def call_tool(args: argparse.Namespace) -> int:
    """Calls a tool and prints its result; an exit code. Raises ConfigError."""
    settings = _settings(args)
    try:
        arguments = _arguments(args.arguments)
        output = _call(settings, args.tool, arguments)
    except WrongUse as error:
        print_error(args, error.code, error.message)
        return exit_code(error)
    except ServerUnavailable as error:
        print_error(args, "unavailable", f"The server is not available: {error}.")
        return EXIT_TRY_AGAIN
    except (McpError, ToolError) as error:
        how = "refused" if isinstance(error, RequestFailed) else "failed"
        print_error(
            args, how, f"The call was {how}: {error}." if how == "refused" else f"The call failed: {error}."
        )
        return EXIT_FAILED
    _show_result(args, output)
    return EXIT_FAILED if output.is_error else EXIT_OK


def _call(settings: Settings, name: str, arguments: dict[str, Any]) -> ToolOutput:
    """Raises WrongUse if there is no such tool, McpError and ToolError."""
    configured = settings.mcp.servers
    server_name = server_of(prefixes(configured), name)
    if server_name is None:
        known = ", ".join(prefixes(configured).values()) or "none"
        raise WrongUse(f"{name[:80]!r} is a tool of none of the servers (their prefixes: {known}).")
    with _servers(settings, _named([server_name], configured)) as (server,):
        try:
            server.ready()
        except ServerUnavailable as error:
            raise ServerUnavailable(server.failure or str(error)) from None
        assert server.tools is not None
        for tool in server.tools.tools:
            if tool.spec.name.lower() == name.lower():
                return _answer(server, tool, arguments)
        why = server.tools.left_out.get(name)
        raise WrongUse(
            f"The server {server_name} has no tool {name[:80]!r}"
            + (f" ({why})." if why else ".")
            + f" `python -m app mcp tools {server_name}` lists them."
        )


def _answer(server: McpServer, tool: ServerTool, arguments: dict[str, Any]) -> ToolOutput:
    """The result. Raises McpError: also if the server has ended in the middle, it was there before."""
    try:
        return call_server(server, tool, arguments)
    except ServerUnavailable as error:
        raise McpError(str(error)) from None


@contextmanager
def _servers(settings: Settings, names: list[str]) -> Iterator[list[McpServer]]:
    """These servers, started beside each other, and ended after the block."""
    source = McpSource(lambda: settings)
    try:
        found = []
        for name in names:
            prefix = prefixes(settings.mcp.servers)[name]
            server = source.server("", name, prefix, settings.mcp.servers[name])
            if server is not None:
                found.append(server)
        for server in found:
            server.begin()
        yield found
    finally:
        source.close()


def _settings(args: argparse.Namespace) -> Settings:
    settings = load_settings(os.environ)
    level = "info" if args.verbose else "critical"  # what goes wrong is said by the command itself
    logging.config.dictConfig(logging_config(level, settings.logging.format))
    return settings


def _named(names: list[str], servers: Mapping[str, McpServerSettings]) -> list[str]:
    """The servers of these names, all enabled ones if none is named. Raises WrongUse."""
    for name in names:
        if name not in servers:
            raise WrongUse(f"There is no server {name[:80]!r} (there are: {', '.join(servers) or 'none'}).")
        if not servers[name].enabled:
            raise WrongUse(f"The server {name[:80]!r} is switched off (mcp.servers.{name[:80]}.enabled).")
    return names or [name for name, server in servers.items() if server.enabled]


def _arguments(text: str) -> dict[str, Any]:
    try:
        value = orjson.loads(sys.stdin.read() if text == "-" else text)
    except (UnicodeError, orjson.JSONDecodeError) as error:
        raise WrongUse(f"The arguments are not valid JSON ({error}).") from None
    if not isinstance(value, dict):
        raise WrongUse('The arguments must be a JSON object, such as \'{"text": "hello"}\'.')
    return value


def _show_tools(
    args: argparse.Namespace, tools: list[dict[str, Any]], left_out: dict[str, str], failed: dict[str, str]
) -> None:
    if args.json:
        print_json({"tools": tools, "leftOut": left_out, "failed": failed})
    elif tools:
        rows = [[one["name"], one_line(one["description"].strip().partition("\n")[0])] for one in tools]
        print_table(("tool", "description"), [[name, about[:MAX_ABOUT]] for name, about in rows])
    for name, why in failed.items():
        print_text(f"error: {name} is not available: {why}", file=sys.stderr)


def _show_result(args: argparse.Namespace, output: ToolOutput) -> None:
    images = [image.data_uri for image in output.images]
    if args.json:
        print_json(
            {"text": output.text, "details": output.details, "images": images, "isError": output.is_error}
        )
        return
    print_text(output.text, file=sys.stderr if output.is_error else None)
    for image in output.images:
        print_text(f"[{image.mime}, {len(image.data) * 3 // 4} bytes: --json has it]", file=sys.stderr)


def _transport(server: McpServerSettings) -> str:
    return server.transport or ("stdio" if server.command else "streamable-http")


def _target(server: McpServerSettings) -> str:
    """The program, or the address without its query: arguments and queries may have secrets."""
    if server.command:
        return server.command
    parts = urlsplit(server.url or "")
    return f"{parts.scheme}://{parts.netloc}{parts.path}"


def _cell(value: object) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)
