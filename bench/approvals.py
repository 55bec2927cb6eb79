"""What runs cost that wait for somebody's approval: CPU and memory, beside the same gateway without them."""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import Any

from app.client.client import GatewayClient
from app.client.frames import connect_params
from bench.gateway import START_COMMAND, TOKEN, configuration, environment
from bench.processes import Process, free_port

RUNS = 100
SECONDS = 20.0
SETTLE_SECONDS = 5.0
PATIENCE = 120.0
KIB = 1024
CLIENT = {"id": "bench", "version": "1", "platform": "bench", "mode": "cli"}
ASKS = [{"toolCall": {"name": "exec", "arguments": {"command": "touch never.txt"}}}]


def measure_approvals(runs: int = RUNS, seconds: float = SECONDS) -> dict[str, Any]:
    """CPU in ms per second without and with the runs, KiB that each takes, and how many were answered."""
    with tempfile.TemporaryDirectory(prefix="openclaw-bench-") as name:
        folder, port = Path(name), free_port()
        (folder / "openclaw.json").write_text(json.dumps(_configuration(port, folder)))
        gateway = Process("gateway", START_COMMAND, port, folder, environment(folder))
        try:
            gateway.wait_for("/health")
            client = GatewayClient(f"ws://127.0.0.1:{port}/")
            with client:
                asked = {"client": CLIENT, "auth": {"token": TOKEN}, "scopes": ["operator.admin"]}
                client.connect(connect_params(**asked, protocols=(4, 4)))
                return _measure(gateway, client, runs, seconds)
        finally:
            gateway.stop()


def _measure(gateway: Process, client: GatewayClient, runs: int, seconds: float) -> dict[str, Any]:
    _wait_for(client, _start(client, 1))  # what is loaded for the first one is no cost of the others
    _deny_all(client)
    idle = _cpu(gateway, client, seconds)
    before = gateway.worker_memory().worker
    _wait_for(client, _start(client, runs))
    waiting = _cpu(gateway, client, seconds)
    worker = gateway.worker_memory().worker
    return {
        "runs": runs,
        "seconds": seconds,
        "idle_ms": idle,
        "waiting_ms": waiting,
        "kib_each": (worker - before) * KIB / runs,
        "denied": _deny_all(client),
    }


def describe_approvals(figures: dict[str, Any]) -> str:
    return (
        f"{figures['runs']} runs that wait for approval: {figures['waiting_ms']:.1f} ms of CPU a second "
        f"(without them {figures['idle_ms']:.1f} ms), {figures['kib_each']:.0f} KiB each; "
        f"{figures['denied']} answered"
    )


def _configuration(port: int, folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = configuration(port, "http://127.0.0.1:9/v1", ("asks",))
    found["models"]["providers"] = {"upstream": {"api": "scripted", "scripts": {"asks": ASKS}}}
    found["agents"]["defaults"] = {"maxTurns": 2, "workspace": str(folder / "workspace")}
    return found


def _start(client: GatewayClient, runs: int) -> int:
    for number in range(runs):
        key = f"waits-{time.monotonic_ns()}-{number}"
        client.call("chat.send", {"sessionKey": key, "message": "Go", "idempotencyKey": key})
    return runs


def _wait_for(client: GatewayClient, runs: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while len(client.call("exec.approval.list")) < runs:
        assert time.monotonic() < deadline, "the runs do not come to ask"
        client.collect(0.2)


def _cpu(gateway: Process, client: GatewayClient, seconds: float) -> float:
    client.collect(SETTLE_SECONDS)
    before, began = gateway.cpu_seconds(), time.monotonic()
    client.collect(seconds)
    return (gateway.cpu_seconds() - before) * 1000 / (time.monotonic() - began)


def _deny_all(client: GatewayClient) -> int:
    """How many waited. Their models go on asking, but have used up their turns."""
    denied = 0
    deadline = time.monotonic() + PATIENCE
    while waiting := client.call("exec.approval.list"):
        assert time.monotonic() < deadline, "the runs do not end"
        for one in waiting:
            client.call("exec.approval.resolve", {"id": one["id"], "decision": "deny"})
            denied += 1
        client.collect(0.5)
    return denied
