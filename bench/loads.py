"""The loads, the same for every subject, and how their requests look. A new load is a row in `LOADS`."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

QUESTION = "What is two plus two? Answer in one word, please."
TURNS = 10  # messages in one user's session


@dataclass(frozen=True, slots=True)
class Load:
    """`model` is the upstream's (`bench/upstream.py`). `user`: every request belongs to a session.
    `websocket`: sent as `chat.send` over the Gateway protocol.
    """

    name: str
    model: str
    at_once: tuple[int, ...]
    stream: bool = False
    messages: int = 1
    user: bool = False
    websocket: bool = False


PLAIN = Load("plain", "plain", (1, 32, 256))
BURST = Load("burst stream", "burst", (1, 32, 256), stream=True)
PACED = Load("paced stream", "paced", (64,), stream=True)
LONG = Load("400 messages", "plain", (32,), messages=400)
USER = Load("plain, user", "plain", (32,), user=True)
# The gateway always asks its model for a stream; the answer of `PLAIN` comes in one piece, this one in 20.
PIECES = Load("plain, 20 pieces", "burst", (32,))
# Up to 64 connections receive the events of every run; of more, each only those of the runs it follows.
CHAT = Load("chat.send", "plain", (1, 32, 128), user=True, websocket=True)
# One call of the agent's tool `read` in between: two answers of the model. Who has no tools gives one.
READS = Load("agent, one read", "reads", (1, 32))
LOADS = (PLAIN, USER, BURST, PACED, LONG, PIECES, CHAT, READS)  # USER and READS are compared with PLAIN
IDLE_CONNECTIONS = 1000  # connections over WebSocket without requests
MANY_STREAMS = Load("1,000 paced streams", "slow", (1000,), stream=True)


def body_of(load: Load, model: str, user: str | None = None) -> bytes:
    """The JSON body of one request."""
    body: dict[str, Any] = {"model": model, "messages": _messages(load.messages), "stream": load.stream}
    if user is not None:
        body["user"] = user
    return orjson.dumps(body)


def _messages(count: int) -> list[dict[str, str]]:
    """A conversation of `count` messages that ends with a question."""
    roles = itertools.cycle(("assistant", "user"))
    earlier = [
        {"role": next(roles), "content": f"Message {number} of a long conversation. " * 3}
        for number in range(count - 1, 0, -1)
    ]
    return [*reversed(earlier), {"role": "user", "content": QUESTION}]


def post(body: bytes, headers: dict[str, str]) -> bytes:
    """A complete HTTP request for chat completions."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"{lines}Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def users(salt: str, connection: int, turns: int = TURNS) -> Iterator[str]:
    """The user of each request of one connection: another one after `turns` requests."""
    for number in itertools.count():
        yield from itertools.repeat(f"{salt}-{connection}-{number}", turns)


def session_keys(load: Load, salt: str, connection: int) -> Iterator[str]:
    """The session key of each `chat.send` of one connection; each model has an agent of its name."""
    return (f"agent:{load.model}:{user}" for user in users(salt, connection))
