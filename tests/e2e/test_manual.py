"""The manual's own curl examples, word for word but for the token and the address."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.support.gateway import TOKEN, GatewayProcess

PLAIN = """\
curl -sS http://127.0.0.1:18789/v1/chat/completions \\
  -H 'Authorization: Bearer YOUR_TOKEN' \\
  -H 'Content-Type: application/json' \\
  -H 'x-openclaw-agent-id: main' \\
  -d '{
    "model": "openclaw",
    "messages": [{"role":"user","content":"hi"}]
  }'"""

STREAMING = """\
curl -N http://127.0.0.1:18789/v1/chat/completions \\
  -H 'Authorization: Bearer YOUR_TOKEN' \\
  -H 'Content-Type: application/json' \\
  -H 'x-openclaw-agent-id: main' \\
  -d '{
    "model": "openclaw",
    "stream": true,
    "messages": [{"role":"user","content":"hi"}]
  }'"""


def of_brand(example: str, brand: str) -> str:
    return example.replace("openclaw", brand)


def run(example: str, gateway: GatewayProcess) -> str:
    command = example.replace("YOUR_TOKEN", TOKEN).replace("127.0.0.1:18789", f"127.0.0.1:{gateway.port}")
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=20, check=True)
    return done.stdout


@pytest.mark.parametrize("brand", ["openclaw", "clawdbot"])
def test_the_plain_example_gets_an_answer(gateway: GatewayProcess, brand: str) -> None:
    answer = json.loads(run(of_brand(PLAIN, brand), gateway))
    assert answer["object"] == "chat.completion"
    assert answer["model"] == brand
    assert answer["choices"][0]["message"] == {"role": "assistant", "content": "echo: hi"}
    assert answer["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize("brand", ["openclaw", "clawdbot"])
def test_the_streaming_example_gets_a_stream(gateway: GatewayProcess, brand: str) -> None:
    lines = [line for line in run(of_brand(STREAMING, brand), gateway).split("\n\n") if line]
    assert lines[-1] == "data: [DONE]"
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]
    assert {chunk["model"] for chunk in chunks} == {brand}
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert deltas[0] == {"role": "assistant", "content": ""}
    assert "".join(delta.get("content", "") for delta in deltas) == "echo: hi"
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None] * (len(chunks) - 1) + ["stop"]
