"""A thousand connections on one worker: light, alive after three ticks, many following runs."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import struct
import uuid
from typing import Any

import psutil
import pytest

from tests.e2e.conftest import StartGateway
from tests.support.gateway import GatewayProcess
from tests.support.operator import Frame, connect_params
from tests.support.provider import ScriptedProvider, Step, done, finish, pause, text

IDLE, FOLLOWING, CHUNKS = 800, 200, 40
TICKS = 3
TICK_SECONDS = 30


class Follower:
    """As little of a WebSocket client as it takes, so that a thousand fit in a test."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.frames: list[Frame] = []
        self.ticks = 0

    def send(self, method: str, params: Frame) -> None:
        frame = {"type": "req", "id": str(uuid.uuid4()), "method": method, "params": params}
        self._put(0x81, json.dumps(frame).encode())

    def _put(self, opcode: int, data: bytes) -> None:
        mask = os.urandom(4)
        size = bytes((0x80 | len(data),)) if len(data) < 126 else b"\xfe" + struct.pack(">H", len(data))
        masked = bytes(byte ^ mask[place % 4] for place, byte in enumerate(data))
        self.writer.write(bytes((opcode,)) + size + mask + masked)

    async def receive(self) -> Frame:
        """The next text frame; pings are answered on the way."""
        while True:
            opcode, size = await self.reader.readexactly(2)
            if size == 126:
                (size,) = struct.unpack(">H", await self.reader.readexactly(2))
            elif size == 127:
                (size,) = struct.unpack(">Q", await self.reader.readexactly(8))
            data = await self.reader.readexactly(size)
            if opcode == 0x89:
                self._put(0x8A, data)
            elif opcode == 0x81:
                frame: Frame = json.loads(data)
                if frame.get("event") == "tick":
                    self.ticks += 1
                else:
                    self.frames.append(frame)
                return frame

    async def until_final(self) -> None:
        while (await self.receive()).get("payload", {}).get("state") != "final":
            pass

    async def until_ticks(self, count: int) -> None:
        while self.ticks < count:
            await self.receive()


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
            client.writer.close()
        return kib

    kib = asyncio.run(play())
    print(f"{kib:.1f} KiB a connection")
    assert kib < 60
