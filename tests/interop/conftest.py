from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import (
    _shared_gateways,
    _shared_provider,
    gateway,
    provider,
    share_gateway,
    start_gateway,
)
from tests.interop.installed import HERE, JS, node_with_packages, python_with_packages
from tests.support.gateway import TOKEN, GatewayProcess, clean_environment

__all__ = [
    "_shared_gateways",
    "_shared_provider",
    "gateway",
    "provider",
    "share_gateway",
    "start_gateway",
]

StartScript = Callable[..., subprocess.Popen[str]]
RunScript = Callable[..., Any]


@pytest.fixture(scope="session")
def js_client(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Node, and the folder of the scripts with their packages beside them, where Node looks."""
    node, packages = node_with_packages()
    folder = tmp_path_factory.mktemp("js")
    (folder / "node_modules").symlink_to(packages)
    for script in JS.glob("*.mjs"):
        (folder / script.name).write_text(script.read_text())
    return [str(node), str(folder)]


@pytest.fixture
def start_js(js_client: list[str], gateway: GatewayProcess) -> StartScript:
    """Starts a script of `js/`; it prints JSON, a line for each thing it has to say."""
    node, folder = js_client

    def start(script: str, *arguments: str) -> subprocess.Popen[str]:
        return _start([node, str(Path(folder, script)), *arguments], gateway)

    return start


@pytest.fixture
def run_js(start_js: StartScript) -> RunScript:
    """Runs a script of `js/` to its end; what it printed."""
    return lambda *command: _result(start_js(*command))


@pytest.fixture
def run_langchain(gateway: GatewayProcess) -> RunScript:
    """Runs a script of `langchain/` to its end; what it printed."""
    python = str(python_with_packages())

    def run(script: str, *arguments: str) -> Any:
        return _result(_start([python, str(HERE / "langchain" / script), *arguments], gateway))

    return run


def _start(command: list[str], gateway: GatewayProcess) -> subprocess.Popen[str]:
    environment = clean_environment(GATEWAY_URL=gateway.url, GATEWAY_TOKEN=TOKEN)
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def _result(process: subprocess.Popen[str]) -> Any:
    with process:
        try:
            said, complaint = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 0, complaint
    return json.loads(said)
