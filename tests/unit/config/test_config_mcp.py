"""`mcp.servers`: what is accepted, under which names, and what is never shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.config.shown.redact import redact
from app.config.tool_settings import McpServerSettings
from tests.unit.config.conftest import Operator


def server(operator: Operator, entry: str, **environ: str) -> McpServerSettings:
    return operator.load(f"{{mcp: {{servers: {{docs: {entry}}}}}}}", **environ).mcp.servers["docs"]


def test_a_program(operator: Operator):
    found = server(
        operator,
        '{command: "npx", args: ["-y", "x", "-y", ""], env: {KEY: "${MY_KEY}"}, workingDirectory: "~/docs"}',
        MY_KEY="secret-canary",
    )
    assert found.args == ("-y", "x", "-y", "")
    assert found.env == {"KEY": "secret-canary"}
    assert found.cwd == operator.home / "docs"
    assert found.transport is None
    assert (found.connection_timeout_seconds, found.request_timeout_seconds) == (30, 60)


@pytest.mark.parametrize(
    ("written", "transport"),
    [
        ('transport: "streamable-http"', "streamable-http"),
        ('transport: "http"', "streamable-http"),
        ('type: "http"', "streamable-http"),
        ('type: "sse"', "sse"),
        ('type: "http", transport: "streamable-http"', "streamable-http"),
        ("enabled: true", None),
    ],
)
def test_the_transports_of_an_address(operator: Operator, written: str, transport: str | None):
    found = server(operator, f'{{url: "https://mcp.example.com/mcp/?key=k1", {written}}}')
    assert (found.url, found.transport) == ("https://mcp.example.com/mcp/?key=k1", transport)


def test_an_address_has_the_proxy_of_the_environment(operator: Operator):
    entry = '{url: "https://mcp.example.com/mcp"}'
    proxy = {"HTTPS_PROXY": "http://user:pass@proxy.example.com:3128"}
    assert server(operator, entry, **proxy).proxy == proxy["HTTPS_PROXY"]
    assert server(operator, entry, **proxy, NO_PROXY="example.com").proxy is None
    assert server(operator, '{command: "x"}', **proxy).proxy is None


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ("{}", "needs either `command` or `url`"),
        ('{command: "x", url: "https://a"}', "needs either `command` or `url`"),
        ('{command: "x", transport: "sse"}', "spoken to by `stdio`"),
        ('{url: "https://a", type: "stdio"}', "spoken to by `stdio`"),
        ('{command: "x", cwd: "/a", workingDirectory: "/b"}', "`cwd` and `workingDirectory` differ"),
        ('{url: "https://a", type: "sse", transport: "http"}', "`transport` and `type` differ"),
        ('{url: "ftp://a"}', "must be an http or https URL"),
        ('{url: "https://user:pass@a"}', "use `headers`"),
        ('{command: "x", args: ["a", 1]}', "must be text"),
        ('{command: "x", args: "a"}', "must be a list"),
        ('{command: "x", env: {"A=B": "1"}}', "name of an environment variable"),
        ('{url: "https://a", headers: {"a b": "1"}}', "name of an HTTP header"),
        ('{command: "x", requestTimeoutMs: 0}', "requestTimeoutMs"),
    ],
)
def test_mistakes_are_named(operator: Operator, entry: str, says: str):
    (problem,) = operator.problems(f"{{mcp: {{servers: {{docs: {entry}}}}}}}")
    assert "mcp.servers.docs" in problem
    assert says in problem


def test_what_openclaw_knows_besides_is_accepted_and_named(operator: Operator):
    loaded = operator.load('{mcp: {sessionIdleTtlMs: 0, servers: {docs: {url: "https://a", auth: "oauth"}}}}')
    assert any("auth" in note for note in loaded.notes)


def test_secrets_are_not_shown_and_the_rest_can_be_loaded_again(operator: Operator):
    text = """{mcp: {servers: {
        docs: {command: "x", args: ["-y", "-y"], env: {KEY: "secret-canary"}, cwd: "/srv"},
        far: {
            url: "https://a.example.com/mcp?api_key=query-canary",
            headers: {Authorization: "Bearer head-canary"},
        },
    }}}"""
    loaded = operator.load(text)
    shown = json.dumps(redact(loaded))
    assert "canary" not in shown
    assert "a.example.com/mcp" in shown
    assert "canary" not in repr(loaded.mcp)
    again = operator.load(shown)
    assert again.mcp.servers["docs"].args == ("-y", "-y")
    assert again.mcp.servers["docs"].cwd == Path("/srv")
