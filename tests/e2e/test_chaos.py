"""Two hundred streams at a time, clients that leave, a provider that fails, and SIGTERM in the middle."""

from __future__ import annotations

import json
import random
import re
import threading
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from tests.e2e.conftest import StartGateway
from tests.support.gateway import GatewayProcess
from tests.support.provider import (
    ScriptedProvider,
    Step,
    cut,
    done,
    finish,
    pause,
    respond,
    says,
    text,
    wait_for,
    wait_until,
)

STREAMS = 200


def scripts(chance: random.Random, count: int) -> list[list[Step]]:
    def one() -> list[Step]:
        steps: list[Step] = []
        for number in range(chance.randrange(1, 12)):
            steps += [text(f"{number} "), pause(chance.uniform(0, 0.1))]
        kind = chance.random()
        if kind < 0.1:
            return [respond(chance.choice([400, 401, 429, 500, 503]), {"error": {"message": "no"}})]
        if kind < 0.25:
            return [*steps, cut()]
        if kind < 0.3:
            return steps
        return [*steps, finish(), done()]

    return [one() for _ in range(count)]


def follow(gateway: GatewayProcess, user: str, leaves: bool) -> str:
    """How one stream ended: `finish`, `error` or `left`; anything else is a lie."""
    with gateway.stream("hi", user=user) as stream:
        if stream.status != 200:
            return f"status {stream.status}"
        if leaves:
            stream.read1()
            return "left"
        body = stream.read()
    events = [
        line.removeprefix("data: ") for line in body.decode().split("\n\n") if line.startswith("data: ")
    ]
    assert events.count("[DONE]") == 1, body
    assert events[-1] == "[DONE]"
    chunks = [json.loads(event) for event in events[:-1]]
    errors = [chunk for chunk in chunks if "error" in chunk]
    finished = [one for one in chunks if "choices" in one and one["choices"][0]["finish_reason"]]
    assert len(errors) + len(finished) == 1, body
    assert (chunks[-1] in errors) or (chunks[-1] in finished)
    return "error" if errors else "finish"


@pytest.mark.timeout(240)
def test_every_stream_has_one_honest_end_and_nothing_is_left(
    start_gateway: StartGateway, provider: ScriptedProvider
) -> None:
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    chance = random.Random(seed)
    gateway = start_gateway()
    [worker] = psutil.Process(gateway.pid).children()
    gateway.ask("warm up", user="warm")
    base_files, base_tasks = worker.num_fds(), gateway.metric("openclaw_background_tasks")

    provider.plays(*scripts(chance, 3 * STREAMS))
    leaving = [chance.random() < 0.3 for _ in range(STREAMS)]
    with ThreadPoolExecutor(STREAMS) as pool:
        ends = list(pool.map(lambda one: follow(gateway, f"chaos-{one[0] % 50}", one[1]), enumerate(leaving)))
    assert len(ends) == STREAMS
    assert set(ends) <= {"finish", "error", "left"}
    assert {"finish", "error", "left"} <= set(ends)

    wait_until(lambda: gateway.metric("openclaw_active_runs") == 0, 30, "end of the runs")
    wait_until(lambda: gateway.metric("openclaw_active_streams") == 0, 30, "end of the streams")
    wait_until(lambda: gateway.metric("openclaw_lanes") == 0, 30, "end of the lanes")
    wait_until(lambda: gateway.metric("openclaw_background_tasks") <= base_tasks, 30, "end of the tasks")
    wait_until(lambda: provider.open == 0, 30, "end of the provider's answers")
    wait_until(
        lambda: worker.num_fds() <= base_files + 70, 30, "closed files"
    )  # 64 idle provider connections
    provider.reset()
    assert gateway.ask("still there?").text == "echo: still there?"
    assert not re.search("Traceback|fault of the gateway", gateway.log)


@pytest.mark.timeout(120)
def test_sigterm_among_many_streams(start_gateway: StartGateway, provider: ScriptedProvider) -> None:
    gateway = start_gateway()
    go_on = threading.Event()  # else the first streams would have ended before the last begin
    provider.always([text("a "), wait_for(go_on), *says("b")])
    with ThreadPoolExecutor(STREAMS) as pool:
        streams = [pool.submit(follow_if_let_in, gateway, f"user-{number}") for number in range(STREAMS)]
        wait_until(lambda: provider.open == STREAMS, 30, "streams, all of them")
        gateway.terminate()
        go_on.set()
        ends = [stream.result() for stream in streams]
    assert set(ends) <= {"finish", "error", "refused"}
    assert ends.count("finish") >= 100
    assert gateway.wait(30) == 0
    assert not re.search("Traceback|fault of the gateway", gateway.log)


def follow_if_let_in(gateway: GatewayProcess, user: str) -> str:
    try:
        return follow(gateway, user, leaves=False)
    except (ConnectionRefusedError, ConnectionResetError):
        return "refused"
