"""A provider that never pauses, or never ends, stops nobody else and takes no memory without bound."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count, repeat
from typing import Any

import pytest

from tests.support.flood import Memory, MiB, assert_others_are_served, warm_up
from tests.support.gateway import Answer, GatewayProcess, config_for
from tests.support.limited_wsgi import limits
from tests.support.provider import PATIENCE, ScriptedProvider, wait_until
from tests.support.raw_provider import RawProvider, floods, sends

EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
ERROR = b"HTTP/1.1 500 Oops\r\nConnection: close\r\n\r\n"
HI = b'data: {"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}]}\n\n'
STOP = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


def delta(**fields: Any) -> bytes:
    inner = ",".join(f'"{name}":{value}' for name, value in fields.items()).encode()
    return b'data: {"choices":[{"index":0,"delta":{%b},"finish_reason":null}]}\n\n' % inner


def calls() -> Iterator[bytes]:
    for number in count():
        call = f'[{{"index":{number},"id":"c{number}","function":{{"name":"{"n" * 200}","arguments":"{{"}}}}]'
        yield delta(tool_calls=call) * 20


# What is sent once, then again and again; and whether the gateway must end the connection by itself, soon.
FLOODS: dict[str, tuple[bytes, Callable[[], Iterator[bytes]], bool]] = {
    "events of text": (EVENTS, lambda: repeat(delta(content='"x"') * 500), True),
    "events of long texts": (EVENTS, lambda: repeat(delta(content=f'"{"x" * 10_000}"') * 5), True),
    "events of reasoning": (EVENTS, lambda: repeat(delta(reasoning='"hm"') * 500), True),
    "events of refusals": (EVENTS, lambda: repeat(delta(refusal='"no"') * 500), True),
    "calls without end": (EVENTS, calls, True),
    "one call without end": (
        EVENTS + delta(tool_calls='[{"index":0,"id":"a","function":{"name":"f","arguments":"{"}}]'),
        lambda: repeat(delta(tool_calls='[{"index":0,"function":{"arguments":"x"}}]') * 500),
        True,
    ),
    "names of a call without end": (
        EVENTS,
        lambda: repeat(delta(tool_calls='[{"index":0,"function":{"name":"xyz"}}]') * 500),
        True,
    ),
    "empty events behind the first text": (EVENTS + HI, lambda: repeat(b"data: {}\n\n" * 5000), False),
    "comments behind the first text": (EVENTS + HI, lambda: repeat(b": x\n\n" * 10_000), False),
    "blank lines": (EVENTS, lambda: repeat(b"\n" * 50_000), False),
    "one event in pieces of 4 KB": (EVENTS + b"data: ", lambda: repeat(b"x" * 4096), True),
    "one event of many lines": (EVENTS, lambda: repeat(b"data: {\n" * 500), True),
    "an event of many values": (EVENTS + b"data: [", lambda: repeat(b"[],{}," * 5000), True),
    "events with one line end between them": (
        EVENTS,
        lambda: repeat(delta(content='"x"').strip() + b"\n" + delta(content='"y"').strip() + b"\n"),
        True,
    ),
    "headers without end": (b"HTTP/1.1 200 OK\r\n", lambda: (b"x-%d: y\r\n" % n for n in count()), True),
    "one header without end": (b"HTTP/1.1 200 OK\r\nx: ", lambda: repeat(b"y" * 10_000), True),
    "interim answers without end": (b"", lambda: repeat(b"HTTP/1.1 100 Continue\r\n\r\n"), True),
    "interim answers with headers": (b"", lambda: repeat(b"HTTP/1.1 103 Hints\r\nx: y\r\n\r\n" * 9), True),
    "trailers without end": (CHUNKED + b"0\r\n", lambda: repeat(b"x: y\r\n" * 1000), True),
    "an extension of a chunk without end": (CHUNKED + b"1;", lambda: repeat(b"x" * 10_000), True),
    "chunks of a byte": (CHUNKED, lambda: repeat(b"1\r\n:\r\n" * 5000), True),
    "a document without end": (JSON + b'{"choices":["', lambda: repeat(b"x" * 65536), True),
    "a document of many values": (JSON + b"[", lambda: repeat(b"[],{}," * 5000), True),
    "an error without end": (ERROR, lambda: repeat(b"x" * 65536), True),
    "events behind the end": (EVENTS + HI + STOP, lambda: repeat(HI * 500), True),
    "a second answer behind the first": (
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(HI + STOP) + HI + STOP,
        lambda: repeat(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" * 500),
        True,
    ),
}


BODY = {"model": "openclaw/flooded", "stream": True, "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture(scope="module")
def raw() -> Iterator[RawProvider]:
    with RawProvider() as provider:
        yield provider


@pytest.fixture
def gateway(raw: RawProvider, provider: ScriptedProvider, tmp_path: Any) -> Iterator[GatewayProcess]:
    config = config_for(provider.url)
    config["models"]["providers"]["flood"] = {"baseUrl": raw.url, "apiKey": "x", "api": "openai-completions"}
    config["agents"]["list"].append({"id": "flooded", "model": "flood/test"})
    # What is kept of ended runs for those who come late has a bound of its own, which is no flood's.
    gateway = GatewayProcess(tmp_path, config, **limits(kept_event_bytes=MiB))
    yield gateway.start()
    gateway.kill()


class Flooded:
    """A client whose answer is the flood, and who asks again when it has ended. `answers` are what it got."""

    def __init__(self, gateway: GatewayProcess) -> None:
        self.answers: list[Answer] = []
        self._gateway = gateway
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ask no more, and wait for the end of the last answer."""
        self._stopped.set()
        self._thread.join(60)
        assert not self._thread.is_alive(), "the flood goes on"

    def _run(self) -> None:
        with suppress(OSError, http.client.HTTPException):  # a flood that goes on ends with the gateway
            while not self._stopped.is_set():
                self.answers.append(self._gateway.chat(BODY))


@pytest.mark.parametrize("what", FLOODS)
def test_a_providers_flood(gateway: GatewayProcess, raw: RawProvider, what: str) -> None:
    head, pieces, ends = FLOODS[what]
    raw.play = lambda sock: floods(head, pieces())(sock)
    usual = warm_up(gateway)
    before, flooded = raw.requests, Flooded(gateway)
    with Memory(gateway) as memory:
        flooded.start()
        wait_until(lambda: raw.requests > before, PATIENCE, "request to the provider")
        assert_others_are_served(gateway, usual)
        if ends:
            flooded.stop()
        memory.assert_harmless()
    for answer in flooded.answers:
        if "behind" in what:
            assert answer.body.count(b"Hi") == 1
            assert b'"stop"' in answer.body
        else:
            assert b'"error"' in answer.body[-2000:]
    assert bool(flooded.answers) == ends
    if ends:
        # What comes behind an answer may come when its connection is kept already: its next use ends it.
        raw.play = sends(EVENTS, HI, STOP)
        gateway.chat(BODY)
        wait_until(lambda: raw.open == 0, PATIENCE, "end of the provider's connection")


def test_arguments_of_very_many_values(gateway: GatewayProcess, raw: RawProvider) -> None:
    """They are text until they are whole, and then nobody makes millions of lists of them to look at them."""
    first = delta(tool_calls='[{"index":0,"id":"a","function":{"name":"f","arguments":"{\\"a\\":["}}]')
    piece = delta(tool_calls='[{"index":0,"function":{"arguments":"%s"}}]' % ("[]," * 10_000))
    last = delta(tool_calls='[{"index":0,"function":{"arguments":"[]]}"}}]')
    raw.play = sends(EVENTS, first, *[piece] * 100, last, STOP.replace(b'"stop"', b'"tool_calls"'))
    warm_up(gateway)
    with Memory(gateway) as memory:
        answer = gateway.chat(BODY)
    assert answer.body.count(b"[],") >= 1_000_000
    assert b'"finish_reason":"tool_calls"' in answer.body[-1000:]
    memory.assert_harmless()
