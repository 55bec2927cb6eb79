"""How long the event loop stands still while agents run commands: floods of output, long ones, quick ones."""

from __future__ import annotations

import http.client
import json
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from bench.gateway import START_COMMAND, TOKEN, configuration, environment
from bench.processes import Process, free_port

AT_ONCE = 16
SECONDS = 20.0
IDLE_SECONDS = 5.0
LAG = "openclaw_hub_lag_seconds"
# Each agent's model is a script that calls `exec` with its command.
COMMANDS = {
    "flood": {"command": "yes", "timeoutSeconds": 3},
    "lines": {"command": "seq 1 2000000"},
    "quick": {"command": "true"},
    "waits": {"command": "sleep 2"},
}


def measure_commands(at_once: int = AT_ONCE, seconds: float = SECONDS) -> dict[str, Any]:
    """Seconds: the longest lag of the event loop without and with commands, and how many have run."""
    with tempfile.TemporaryDirectory(prefix="openclaw-bench-") as name:
        folder, port = Path(name), free_port()
        (folder / "openclaw.json").write_text(json.dumps(_configuration(port, folder)))
        gateway = Process("gateway", START_COMMAND, port, folder, environment(folder))
        try:
            gateway.wait_for("/health")
            time.sleep(IDLE_SECONDS)
            idle = _lag(port)
            done = _run(port, at_once, seconds)
            return {"idle_lag": idle, "lag": _lag(port), "runs": sum(done), "seconds": seconds}
        finally:
            gateway.stop()


def describe_commands(figures: dict[str, Any]) -> str:
    return (
        f"{figures['runs']} runs with two commands each in {figures['seconds']:g} s, {AT_ONCE} at once: "
        f"the event loop was late by at most {figures['lag'] * 1000:.1f} ms "
        f"(without commands {figures['idle_lag'] * 1000:.1f} ms)"
    )


def _configuration(port: int, folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = configuration(port, "http://127.0.0.1:9/v1", tuple(COMMANDS))
    scripts = {name: [{"toolCall": {"name": "exec", "arguments": call}}] for name, call in COMMANDS.items()}
    found["models"]["providers"] = {"upstream": {"api": "scripted", "scripts": scripts}}
    found["agents"]["defaults"] = {"maxTurns": 2, "workspace": str(folder / "workspace")}
    found["tools"] = {"exec": {"mode": "full", "sandbox": "auto"}}
    return found


def _run(port: int, at_once: int, seconds: float) -> list[int]:
    """How many runs each of `at_once` clients has had."""
    done, deadline = [0] * at_once, time.monotonic() + seconds

    def work(number: int) -> None:
        name = list(COMMANDS)[number % len(COMMANDS)]
        body = {"model": f"openclaw/{name}", "messages": [{"role": "user", "content": "Go"}]}
        while time.monotonic() < deadline:
            _request(port, "POST", "/v1/chat/completions", body)
            done[number] += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(at_once)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return done


def _lag(port: int) -> float:
    page = _request(port, "GET", "/metrics").decode()
    return next(float(line.split()[1]) for line in page.splitlines() if line.startswith(LAG + " "))


def _request(port: int, method: str, path: str, body: dict[str, Any] | None = None) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    try:
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        data = answer.read()
    finally:
        connection.close()
    # Each run uses up its turns: 200 with what was said, or the error that nothing was.
    assert answer.status == 200 or b"max_turns" in data, data
    return data
