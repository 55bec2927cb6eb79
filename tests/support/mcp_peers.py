"""Entries of `mcp.servers` for the servers of tests, and gateways whose agent has their tools."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from tests.support.gateway import ROOT, agent_config, clean_environment, free_port

SCRIPTED = ["-P", str(ROOT / "tests" / "support" / "mcp_server.py")]
SDK = ["-P", str(ROOT / "tests" / "support" / "mcp_sdk_server.py")]


def scripted(*arguments: str, **more: Any) -> dict[str, Any]:
    """The entry of a server of `mcp_server.py`."""
    return {"command": sys.executable, "args": [*SCRIPTED, *arguments], **more}


def sdk(**more: Any) -> dict[str, Any]:
    """The entry of a server made with the official SDK, on standard input and output."""
    return {"command": sys.executable, "args": [*SDK, "stdio"], "env": {"PYTHONPATH": str(ROOT)}, **more}


@contextmanager
def sdk_over_http(transport: str, *arguments: str) -> Iterator[str]:
    """A running server made with the SDK; its URL. `transport`: `streamable-http` or `sse`."""
    port = free_port()
    command = [sys.executable, *SDK, transport, str(port), *arguments]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=clean_environment(PYTHONPATH=str(ROOT)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while True:
            assert time.monotonic() < deadline, "the SDK's server did not start"
            assert process.poll() is None, "the SDK's server ended"
            try:
                with closing(HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
                    connection.request("GET", "/nothing")
                    connection.getresponse().read()
                break
            except OSError:
                time.sleep(0.05)
        yield f"http://127.0.0.1:{port}/{'sse' if transport == 'sse' else 'mcp'}"
    finally:
        process.terminate()
        process.wait(20)


def with_servers(
    provider_url: str, servers: dict[str, Any], tools: dict[str, Any] | None = None, **agent: Any
) -> dict[str, Any]:
    """A configuration with one agent and these servers."""
    return {**agent_config(provider_url, tools, **agent), "mcp": {"servers": servers}}


def until(holds: Callable[[], Any], what: str, seconds: float = 30) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, what
        time.sleep(0.05)
    return found


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
