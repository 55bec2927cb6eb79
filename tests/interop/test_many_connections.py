"""A thousand connections on one worker: light, alive after three ticks, many following runs."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import uuid
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from app.client.frames import PING, PONG, TEXT, Frame, RawFrame, encode_frame, encode_request, split_frames
from tests.e2e.conftest import StartGateway
from tests.support.gateway import GatewayProcess
from tests.support.operator import connect_params
from tests.support.provider import ScriptedProvider, Step, done, finish, pause, text

IDLE, FOLLOWING, CHUNKS = 800, 200, 40
TICKS = 3
TICK_SECONDS = 30


class Follower:
    """A client small enough that a thousand of them fit into a test."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.frames: list[Frame] = []
        self.ticks = 0
        self.reading: asyncio.Task[None] | None = None
        self.news = asyncio.Event()
        self.waiting: list[RawFrame] = []
        self.rest = b""  # the beginning of the frame after `waiting`

    def send(self, method: str, params: Frame) -> None:
        self.writer.write(encode_request(str(uuid.uuid4()), method, params))

    async def receive(self) -> Frame:
        """The next text frame; pings before it are answered."""
        while True:
            while not self.waiting:
                data = await self.reader.read(65536)
                assert data, "the connection was closed"
                self.waiting, self.rest = split_frames(self.rest + data)
            opcode, payload = self.waiting.pop(0)
            if opcode == PING:
                self.writer.write(encode_frame(payload, PONG))
            elif opcode == TEXT:
                frame: Frame = json.loads(payload)
                if frame.get("event") == "tick":
                    self.ticks += 1
                else:
                    self.frames.append(frame)
                return frame

    def read_on(self) -> None:
        """Receive from now on whatever comes: a client that answers no pings is taken for dead."""
        self.reading = asyncio.create_task(self._read_on())

    async def _read_on(self) -> None:
        try:
            while True:
                await self.receive()
                self.news.set()
        finally:
            self.news.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        assert self.reading is not None
        while not holds():
            if self.reading.done():
                self.reading.result()
            self.news.clear()
            await self.news.wait()

    async def until_final(self) -> None:
        await self.until(lambda: any(_state(frame) == "final" for frame in self.frames))

    async def until_ticks(self, count: int) -> None:
        await self.until(lambda: self.ticks >= count)


def _state(frame: Frame) -> Any:
    return frame.get("payload", {}).get("state")


async def follower(port: int) -> Follower:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    key = base64.b64encode(os.urandom(16)).decode()
    head = f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    writer.write(f"{head}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode())
    assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
    client = Follower(reader, writer)
    await client.receive()
    client.send("connect", connect_params())
    assert (await client.receive())["ok"]
    client.frames.clear()
    client.read_on()
    return client


async def crowd(gateway: GatewayProcess, worker: psutil.Process) -> tuple[list[Follower], float]:
    """All clients, and what each costs the worker, in KiB."""
    warm = [await follower(gateway.port) for _ in range(20)]
    before = worker.memory_info().rss
    clients = [await follower(gateway.port) for _ in range(IDLE + FOLLOWING - len(warm))]
    return warm + clients, (worker.memory_info().rss - before) / 1024 / len(clients)


async def follow_runs(clients: list[Follower]) -> None:
    for number, client in enumerate(clients):
        names = {"sessionKey": f"crowd-{number}", "idempotencyKey": str(uuid.uuid4())}
        client.send("chat.send", {"message": "hi", **names})
    await asyncio.gather(*(client.until_final() for client in clients))


def whole_and_in_order(client: Follower) -> bool:
    events = [frame for frame in client.frames if frame["type"] == "event"]
    agent: list[Any] = [frame["payload"] for frame in events if frame["event"] == "agent"]
    numbers = [payload["seq"] for payload in agent]
    said = "".join(payload["data"].get("delta", "") for payload in agent if payload["stream"] == "assistant")
    return numbers == list(range(1, len(agent) + 1)) and said == "".join(f"{n} " for n in range(CHUNKS))


@pytest.mark.timeout(240)
def test_a_thousand_connections(start_gateway: StartGateway, provider: ScriptedProvider) -> None:
    gateway = start_gateway()
    [worker] = psutil.Process(gateway.pid).children()
    script: list[Step] = [step for n in range(CHUNKS) for step in (text(f"{n} "), pause(0.05))]
    provider.always([*script, finish(), done()])
    gateway.ask("warm up", user="warm")

    async def play() -> float:
        clients, kib = await crowd(gateway, worker)
        assert len(clients) == IDLE + FOLLOWING
        await follow_runs(clients[:FOLLOWING])
        assert all(whole_and_in_order(client) for client in clients[:FOLLOWING])
        waiting = asyncio.gather(*(client.until_ticks(TICKS) for client in clients))
        await asyncio.wait_for(waiting, (TICKS + 1) * TICK_SECONDS)
        for client in clients:
            assert client.reading is not None
            client.reading.cancel()
            client.writer.close()
        return kib

    kib = asyncio.run(play())
    print(f"{kib:.1f} KiB a connection")
    assert kib < 60
