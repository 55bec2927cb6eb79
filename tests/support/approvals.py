"""A gateway whose agent runs commands, and those who approve them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.support.gateway import TOKEN, Answer, GatewayProcess, agent_config
from tests.support.provider import PATIENCE, done, finish, says, tool_call, usage

HEADERS = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
_threads = ThreadPoolExecutor(64)


def approving_gateway(
    folder: Path, provider_url: str, tools: dict[str, Any] | None = None, **agent: Any
) -> GatewayProcess:
    """Not started. Its agent's workspace is `folder / "work"`."""
    work = folder / "work"
    work.mkdir(exist_ok=True)
    config = agent_config(provider_url, tools, workspace=str(work), **agent)
    return GatewayProcess(folder, config)


def runs(command: str, call_id: str = "call_1", **more: Any) -> list[Any]:
    """A model's turn that runs a command."""
    arguments = json.dumps({"command": command, **more})
    return [tool_call(0, call_id, "exec", arguments), finish("tool_calls"), usage(10, 5), done()]


def plays(provider: Any, command: str, **more: Any) -> None:
    """The model runs the command, and then says that it is done."""
    provider.plays(runs(command, **more), says("Done."))


def result(provider: Any) -> str:
    """What the model was told of its last call."""
    message = provider.requests[-1]["messages"][-1]
    assert message["role"] == "tool", message
    text: str = message["content"]
    return text


def ask(gateway: GatewayProcess, *, stream: bool = False, **headers: str) -> Answer:
    body = {"model": "openclaw", "messages": [{"role": "user", "content": "Do it"}], "stream": stream}
    return gateway.chat(body, **headers)


def ask_beside(gateway: GatewayProcess, **more: Any) -> Future[Answer]:
    """The same in a thread of its own."""
    return _threads.submit(ask, gateway, **more)


def beside(fn: Callable[..., Any], *args: Any) -> Future[Any]:
    return _threads.submit(fn, *args)


def pending(gateway: GatewayProcess, count: int = 1) -> list[dict[str, Any]]:
    """The approvals that wait, once there are so many."""
    deadline = time.monotonic() + PATIENCE
    while True:
        answer = gateway.request("GET", "/v1/approvals", headers=HEADERS)
        assert answer.status == 200, answer.body
        found: list[dict[str, Any]] = answer.json["approvals"]
        if len(found) == count:
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


def shown(gateway: GatewayProcess, approval_id: str) -> Answer:
    return gateway.request("GET", f"/v1/approvals/{approval_id}", headers=HEADERS)


def decide(gateway: GatewayProcess, approval_id: str, decision: Any) -> Answer:
    return gateway.request("POST", f"/v1/approvals/{approval_id}", {"decision": decision}, HEADERS)
