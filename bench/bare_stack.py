"""The minimum of this stack: Flask on the gateway's own server and HTTP client, without a gateway.

One route forwards the body, parses the answer (each chunk of a stream) and forwards that. It has no
authentication, agents, sessions, logs or error handling. `BENCH_UPSTREAM` is the model's base URL.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import orjson
from flask import Flask, Response, request

from app.cancel import Cancel
from app.config.settings import ProviderTimeouts
from app.providers.http.transport import Transport

DONE = b"data: [DONE]"
SECONDS = 60.0

app = Flask(__name__, static_folder=None)
upstream = Transport(os.environ["BENCH_UPSTREAM"], ProviderTimeouts(), {})


@app.get("/health")
def health() -> str:
    return "ok"


@app.post("/v1/chat/completions")
def create_chat_completion() -> Response:
    body = orjson.loads(request.get_data())
    if body.get("stream"):
        return Response(_chunks(body), content_type="text/event-stream")
    pieces: list[bytes] = []
    with upstream.post("/chat/completions", orjson.dumps(body), {}, Cancel()) as answer:
        while piece := answer.read_some(SECONDS):
            pieces.append(piece)
    return Response(orjson.dumps(orjson.loads(b"".join(pieces))), content_type="application/json")


def _chunks(body: dict[str, Any]) -> Iterator[bytes]:
    rest = b""
    with upstream.post("/chat/completions", orjson.dumps(body), {}, Cancel()) as answer:
        while data := answer.read_some(SECONDS):
            *events, rest = (rest + data).split(b"\n\n")
            for event in events:
                if event == DONE:
                    yield DONE + b"\n\n"
                else:
                    yield b"data: " + orjson.dumps(orjson.loads(event[6:])) + b"\n\n"
