"""What a client of the Gateway protocol may cost: memory, bytes and time, however little it reads."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Callable

import psutil
import pytest

from tests.e2e.conftest import StartGateway
from tests.support.flood import MAX_GROWTH, MiB, assert_others_are_served, warm_up
from tests.support.gateway import GatewayProcess
from tests.support.operator import Operator, operator
from tests.support.provider import (
    ScriptedProvider,
    Step,
    done,
    finish,
    pause,
    reasoning,
    says,
    text,
    wait_until,
)
from tests.unit.media.image_host import png

FLOOD = 1000  # requests


def worker_of(gateway: GatewayProcess) -> psutil.Process:
    [worker] = psutil.Process(gateway.pid).children()
    return worker


def fill_session(client: Operator, key: str, messages: int, size: int) -> None:
    """Makes the session `key` with two short messages and so many of `size` characters."""
    client.call("chat.send", {"sessionKey": key, "message": "hi", "idempotencyKey": str(uuid.uuid4())})
    client.until("chat", state="final")
    for _ in range(messages):
        client.call("chat.inject", {"sessionKey": key, "message": "x" * size})


@pytest.mark.parametrize("method", ["chat.history", "sessions.get", "chat.startup", "sessions.preview"])
def test_a_client_that_asks_without_reading_the_answers(
    method: str, start_gateway: StartGateway, provider: ScriptedProvider
) -> None:
    provider.always(says("ok"))
    gateway = start_gateway()
    params = {"sessionKey": "big", "key": "big", "keys": ["big"] * 64, "limit": 100, "maxChars": 2000}
    with operator(gateway) as reader, operator(gateway) as flooder:
        fill_session(reader, "big", 30, 200_000)
        for _ in range(5):
            reader.call(method, params)
        usual = warm_up(gateway)
        worker = worker_of(gateway)
        before = worker.memory_info().rss
        requests = [flooder.request(method, params) for _ in range(FLOOD)]
        assert_others_are_served(gateway, usual)
        assert worker.memory_info().rss - before < MAX_GROWTH
        for request in requests[:20]:  # the client is served on as soon as it reads
            assert flooder.response(request)["ok"]
        flooder.socket.drop()
        reader.call(method, params)
    wait_until(lambda: gateway.request("GET", "/ready").status == 200, 10, "readiness")


def test_history_has_a_bound_in_bytes_and_images_count(
    start_gateway: StartGateway, provider: ScriptedProvider
) -> None:
    provider.always(says("a picture"))
    gateway = start_gateway()
    data = base64.b64encode(png().ljust(1_200_000, b"x")).decode()
    image = {"mimeType": "image/png", "content": data}
    with operator(gateway) as client:
        for number in range(6):
            params = {"sessionKey": "pictures", "message": f"look {number}", "attachments": [image]}
            client.call("chat.send", {**params, "idempotencyKey": str(uuid.uuid4())})
            client.until("chat", state="final")
        for method in ("chat.history", "chat.startup", "sessions.get"):
            found = client.call(method, {"sessionKey": "pictures", "key": "pictures"})
            assert len(json.dumps(found)) < 4.5 * MiB
            newest = [one for one in found["messages"] if one["role"] == "user"]
            assert [one["content"][0]["text"] for one in newest][-2:] == ["look 4", "look 5"]
            assert newest[-1]["content"][1]["data"] == data
            left_out = {"type": "image", "mimeType": "image/png", "omitted": True, "bytes": 1_200_000}
            assert left_out in newest[0]["content"]
            assert found["hasMore"] == (len(newest) < 6)
            assert (found["hasMore"], len(found["messages"])) == (True, found["nextOffset"])


@pytest.mark.parametrize(("step", "stream"), [(text, "assistant"), (reasoning, "thinking")])
def test_a_very_long_answer_is_sent_to_a_watcher_a_few_times_only(
    step: Callable[[str], Step], stream: str, gateway: GatewayProcess, provider: ScriptedProvider
) -> None:
    pieces = [f"{number:019d} " * 1000 for number in range(400)]  # 8 MB
    steps = [one for piece in pieces for one in (step(piece), pause(0.01))]
    provider.plays([*steps, text("the end"), finish(), done()])
    whole = "".join(pieces) + ("the end" if stream == "assistant" else "")
    run_id = str(uuid.uuid4())
    with operator(gateway) as watcher, operator(gateway) as starter:
        starter.call("sessions.patch", {"key": "long", "reasoningLevel": "stream"})
        params = {"sessionKey": "long", "message": "hi", "idempotencyKey": run_id}
        starter.call("chat.send", params)
        watcher.until("chat", timeout=120, runId=run_id, state="final")
        sent = [one for one in watcher.events("agent") if one["stream"] == stream]
        assert "".join(one["data"]["delta"] for one in sent) == whole
        assert [one["seq"] for one in watcher.events("agent")] == list(
            range(1, len(watcher.events("agent")) + 1)
        )
        assert sum(len(json.dumps(frame)) for frame in watcher.frames) < 64 * MiB
        if stream == "assistant":
            chats = watcher.events("chat")
            assert "".join(one.get("deltaText", "") for one in chats) == whole
            assert [one["message"]["content"][0]["text"] == whole for one in chats[-2:]] == [True, True]
