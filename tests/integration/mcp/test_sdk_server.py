"""Our client and the official SDK's server, over each transport, with threads and with greenlets."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from app.tools.mcp.server import McpServer
from tests.support.gateway import ROOT
from tests.support.mcp_peers import SDK, sdk_over_http
from tests.unit.tools.mcp.servers import call, server_with

TRANSPORTS = ["stdio", "streamable-http", "streamable-http json", "sse"]


@contextmanager
def sdk_server(transport: str, folder: Path) -> Iterator[McpServer]:
    patience = {"connection_timeout_seconds": 60.0}
    if transport == "stdio":
        settings: dict[str, Any] = {"command": sys.executable, "args": (*SDK, "stdio"), "cwd": ROOT}
        with server_with(folder, **settings, env={"PYTHONPATH": str(ROOT)}, **patience) as server:
            yield server
        return
    with sdk_over_http(*transport.split()) as url:
        name = "sse" if transport == "sse" else None
        with server_with(folder, url=url, transport=name, **patience) as server:
            yield server


def everything(server: McpServer) -> dict[str, Any]:
    """What a session with all of the server's tools brings."""
    found = {
        "sum": call(server, "add", a=2, b=3).text,
        "text": call(server, "echo", text="grüße 🙂 \n" * 1000).details["structuredContent"],
        "image": [image.mime for image in call(server, "pixel").images],
        "failed": call(server, "fail").is_error,
        "counted": call(server, "count", to=3).text,
        "resources": json.loads(call(server, "resources_list").text)["resources"][0]["uri"],
        "resource": call(server, "resources_read", uri="note://today").text,
        "prompts": json.loads(call(server, "prompts_list").text)["prompts"][0]["name"],
        "prompt": call(server, "prompts_get", name="greet", arguments={"name": "Ann"}).text,
        "learnt": call(server, "learn", name="sing").is_error,
    }
    deadline = time.monotonic() + 30
    while server.tools is None or not any(tool.name == "sing" for tool in server.tools.tools):
        assert time.monotonic() < deadline, "the change of the tools is not noticed"
        time.sleep(0.05)
    return {**found, "sung": call(server, "sing").text}


EXPECTED = {
    "sum": 'structuredContent:\n{"total":5,"terms":[2,3]}',
    "text": {"result": "grüße 🙂 \n" * 1000},
    "image": ["image/png"],
    "failed": True,
    "counted": 'structuredContent:\n{"result":"done"}\ndone',
    "resources": "note://today",
    "resource": "Resource note://today:\nBuy milk.",
    "prompts": "greet",
    "prompt": "user:\nSay hello to Ann.",
    "learnt": False,
    "sung": "I am sing",
}


@pytest.mark.slow
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_everything_works_with_threads(transport: str, tmp_path: Path):
    with sdk_server(transport, tmp_path) as server:
        assert everything(server) == EXPECTED


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_everything_works_with_greenlets(transport: str, tmp_path: Path):
    program = f"""
from gevent import monkey; monkey.patch_all()
from pathlib import Path
from tests.integration.mcp.test_sdk_server import EXPECTED, everything, sdk_server
with sdk_server({transport!r}, Path({str(tmp_path)!r})) as server:
    assert everything(server) == EXPECTED
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
