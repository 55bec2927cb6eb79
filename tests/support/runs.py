"""Clients of `/v1/runs`."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, NamedTuple

from tests.support.gateway import TOKEN, Answer, GatewayProcess
from tests.support.provider import PATIENCE

HEADERS = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
UNENDED = ("queued", "running")


class RunEvent(NamedTuple):
    id: int
    kind: str
    data: dict[str, Any]


def start(
    gateway: GatewayProcess, text: str = "hi", headers: dict[str, str] | None = None, **body: Any
) -> str:
    """Starts a run in the background. Returns its id."""
    message = {
        "model": "openclaw",
        "background": True,
        "messages": [{"role": "user", "content": text}],
        **body,
    }
    answer = gateway.request("POST", "/v1/chat/completions", message, {**HEADERS, **(headers or {})})
    assert answer.status == 202, answer.body
    run_id: str = answer.json["id"]
    assert answer.headers["Location"] == f"/v1/runs/{run_id}"
    return run_id


def shown(gateway: GatewayProcess, run_id: str, headers: dict[str, str] | None = None) -> Answer:
    return gateway.request("GET", f"/v1/runs/{run_id}", headers=headers or HEADERS)


def listed(gateway: GatewayProcess, query: str = "", headers: dict[str, str] | None = None) -> Any:
    answer = gateway.request("GET", f"/v1/runs{query}", headers=headers or HEADERS)
    assert answer.status == 200, answer.body
    return answer.json


def cancel(gateway: GatewayProcess, run_id: str, headers: dict[str, str] | None = None) -> Answer:
    return gateway.request("POST", f"/v1/runs/{run_id}/cancel", headers=headers or HEADERS)


def ended(gateway: GatewayProcess, run_id: str) -> dict[str, Any]:
    """The run, once it has ended."""
    return reached(gateway, run_id, lambda run: run["state"] not in UNENDED)


def reached(gateway: GatewayProcess, run_id: str, condition: Any) -> dict[str, Any]:
    """The run, once the condition holds for it."""
    deadline = time.monotonic() + PATIENCE
    while True:
        answer = shown(gateway, run_id)
        assert answer.status == 200, answer.body
        run: dict[str, Any] = answer.json
        if condition(run):
            return run
        assert time.monotonic() < deadline, run
        time.sleep(0.02)


@contextmanager
def following(
    gateway: GatewayProcess, run_id: str, query: str = "", **headers: str
) -> Iterator[http.client.HTTPResponse]:
    """The answer of a follower, for the block to read as it likes."""
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=60)
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request("GET", f"/v1/runs/{run_id}/events{query}", headers={**HEADERS, **given})
    with closing(connection), connection.getresponse() as response:
        yield response


def events_of(stream: http.client.HTTPResponse, count: int | None = None) -> list[RunEvent]:
    """The next `count` events of a stream, or all to its end."""
    found: list[RunEvent] = []
    fields: dict[str, str] = {}
    while count is None or len(found) < count:
        line = stream.readline().decode()
        if not line:
            assert count is None, f"the stream ended after {found}"
            return found
        if line == "\n":
            if fields:
                found.append(RunEvent(int(fields["id"]), fields["event"], json.loads(fields["data"])))
            fields = {}
        elif not line.startswith(":"):
            name, _, value = line.rstrip("\n").partition(": ")
            fields[name] = value
    return found


def all_events(gateway: GatewayProcess, run_id: str, query: str = "", **headers: str) -> list[RunEvent]:
    """The events of a run to its end."""
    with following(gateway, run_id, query, **headers) as stream:
        assert stream.status == 200, stream.read()
        return events_of(stream)
