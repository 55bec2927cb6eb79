"""Thousands of corrupted requests: the gateway answers each soon, with its own errors, and stays healthy.

`FUZZ_SEED` and `FUZZ_REQUESTS` in the environment choose other ones and more; a failure names its seed.
"""

from __future__ import annotations

import copy
import gzip
import http.client
import json
import os
import socket
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from random import Random
from typing import Any

import pytest

from tests.e2e.conftest import StartGateway
from tests.support.gateway import TOKEN, Answer, GatewayProcess, config_for
from tests.support.provider import ScriptedProvider, wait_until

SEED = int(os.environ.get("FUZZ_SEED", "20261121"))
REQUESTS = int(os.environ.get("FUZZ_REQUESTS", "8000"))
SECONDS = 5.0
CONNECTIONS = 4
MAX_BODY = 64 * 1024
NOT_IMPLEMENTED = 501  # the right answer to an unknown Transfer-Encoding
CHAT = "/v1/chat/completions"

HI = {"role": "user", "content": "hi"}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "21"}
TOOL = {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/gif;base64,R0lGODlhAQABAAAAACw="}}
BODIES: list[dict[str, Any]] = [
    {"model": "openclaw", "messages": [HI]},
    {"model": "openclaw:beta", "messages": [HI], "stream": True, "stream_options": {"include_usage": True}},
    {"model": "agent:main", "user": "ann", "messages": [{"role": "system", "content": "Be brief."}, HI]},
    {"messages": [HI, {"role": "assistant", "content": "Hello."}, HI], "user": "bob", "stream": True},
    {"messages": [{"role": "user", "content": [{"type": "text", "text": "see"}, IMAGE]}]},
    {
        "messages": [HI, {"role": "assistant", "content": None, "tool_calls": [CALL]}, RESULT],
        "tools": [TOOL],
        "tool_choice": "auto",
    },
    {"messages": [HI], "temperature": 1, "top_p": 0.5, "max_tokens": 9, "seed": 7, "n": 1, "stop": ["a"]},
    {"messages": [HI], "response_format": {"type": "json_object"}, "reasoning_effort": "low"},
]
ODD: list[Any] = [
    None, True, False, 0, -1, 1, 2, 0.5, 1e308, -1e-320, 2**31, 2**63, 2**64, 10**40, float("nan"),
    float("inf"), "", " ", "\x00", "\ud800", "\udfff\ud800", "\ufeff", "\u2028", "💥", "x" * 5000, "1",
    "data:image/png;base64,AAAA", "data:image/png;base64,", "file:///etc/passwd", "http://127.0.0.1/", "user",
    "tool", "function", "openclaw:nobody", "gpt-4o", "__proto__", "{last}", "/stop", [], {}, [[]], [None],
    {"": ""}, {"role": "user"}, {"type": "text"}, {"type": "image_url", "image_url": {}}, [HI] * 200,
]  # fmt: skip
BAD_UTF8 = (b"\xc0\x80", b"\xed\xa0\x80", b"\xf5", b"\\ud800", b"\x00", b"\xff")
NUMBERS = (b"1" * 4000, b"1e999", b"1e-999", b"-0", b"01", b".5", b"NaN", b"-Infinity", b"0x1", b"1.0")
WORDS = ["", " ", "main", "beta", "nobody", "MAIN", "agent:main:notes", "agent:beta:x", "agent:", "agent::x"]
WORDS += [
    "subagent:x",
    "cron:1",
    "a" * 65,
    "a" * 600,
    "../..",
    "%00",
    "\xff\xfe",
    "ключ",
    "x\ty",
    "a,b",
    "notes",
]
PATHS = [CHAT, "/v1/models", "/v1/models/openclaw", "/health", "/ready", "/readyz?verbose", "/metrics"]
PATHS += ["/openapi.json", "/", "/v1", "/v1/responses", "/tools/invoke", "/v1/models/openclaw%2Fbeta"]
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "BREW", "get", "P O", "G\x01"]
AUTHS = ["", "Bearer", "Bearer ", "Bearer wrong", "Basic dTpw", f"bearer  {TOKEN}", TOKEN, f"Bearer {TOKEN}x"]
AUTHS += ["Bearer \xff", "Bearer " + "x" * 4000, f"Token {TOKEN}", f"Bearer {TOKEN}, Bearer {TOKEN}"]

Headers = list[tuple[str, str]]


class Fuzzer:
    """Makes requests, the same ones for the same seed. `alone`: bytes that spoil their connection."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)

    def request(self) -> tuple[bytes, bool]:
        kind = self.random.random()
        if kind < 0.7:
            return self._chat(self._body()), False
        if kind < 0.8:
            return self._spoilt_framing(), True
        return self._elsewhere(), False

    def _chat(self, body: bytes) -> bytes:
        headers = self._headers()
        if self.random.random() < 0.1:
            headers, body = self._encoded(headers, body)
        if self.random.random() < 0.1:
            return wire("POST", CHAT, [*headers, ("Transfer-Encoding", "chunked")], self._chunks(body))
        return wire("POST", CHAT, [*headers, ("Content-Length", str(len(body)))], body)

    def _body(self) -> bytes:
        pick = self.random
        document = copy.deepcopy(pick.choice(BODIES))
        for _ in range(pick.choice((0, 0, 1, 1, 1, 2))):
            self._spoil(document)
        if pick.random() < 0.7:
            return json.dumps(document).encode()
        text = json.dumps(document, ensure_ascii=False).encode("utf-8", "surrogatepass")
        return self._spoilt_text(text)

    def _spoil(self, document: Any) -> None:
        """Change one thing somewhere in the tree."""
        pick = self.random
        node = document
        while True:
            keys = list(node) if isinstance(node, dict) else list(range(len(node)))
            if not keys:
                return
            key = pick.choice(keys)
            deeper = node[key]
            if isinstance(deeper, dict | list) and deeper and pick.random() < 0.75:
                node = deeper
                continue
            break
        match pick.randrange(4):
            case 0:
                del node[key]
            case 1 if isinstance(node, list):
                node.extend([deeper] * pick.choice((1, 30)))
            case 2:
                node[key] = [deeper] if pick.random() < 0.5 else {"value": deeper}
            case _:
                node[key] = copy.deepcopy(pick.choice(ODD))

    def _spoilt_text(self, text: bytes) -> bytes:
        pick = self.random
        at = pick.randrange(len(text) + 1)
        depth = pick.choice((100, 1000, 1025, 20_000))
        spoilt: list[Callable[[], bytes]] = [
            lambda: b"\xef\xbb\xbf" + text,
            lambda: text[:at],
            lambda: text + pick.choice((b"}", b"null", b"\x00", b"\xff", b" \n", b",{}", text)),
            lambda: text[:at] + pick.randbytes(pick.randrange(1, 5)) + text[at:],
            lambda: text[:at] + pick.choice(BAD_UTF8) + text[at:],
            lambda: text.replace(b'"messages"', b'"messages": [], "messages"', 1),
            lambda: text[:-1] + b', "messages": "twice"}',
            lambda: text[:-1] + b', "stream": true, "stream": false}',
            lambda: b'{"messages": ' + b"[" * depth + b"]" * depth + b"}",
            lambda: text[:-1] + b', "metadata": ' + b'{"a":' * depth + b"1" + b"}" * depth + b"}",
            lambda: text[:-1] + b', "seed": ' + pick.choice(NUMBERS) + b"}",
            lambda: text[:-1] + b', "top_p": ' + pick.choice(NUMBERS) + b"}",
            lambda: text.decode("utf-8", "replace").encode("utf-16"),
            lambda: b"",
            lambda: pick.choice((b"null", b"[]", b'"hi"', b"0", b"{", b"}", b"{}", b"<xml/>", b"a=b&c=d")),
            lambda: text[:-1] + b', "pad": "' + b"x" * MAX_BODY + b'"}',
            lambda: pick.randbytes(pick.randrange(200)),
        ]  # fmt: skip
        return pick.choice(spoilt)()

    def _headers(self) -> Headers:
        pick = self.random
        right = pick.random() < 0.85
        headers: Headers = [("Authorization", f"Bearer {TOKEN}" if right else pick.choice(AUTHS))]
        if pick.random() < 0.3:
            brand = pick.choice(("openclaw", "clawdbot", "OpenClaw"))
            name = pick.choice(("agent-id", "agent", "session-key", "session-key", "model", "scopes"))
            headers.append((f"X-{brand}-{name}", pick.choice(WORDS)))
        if pick.random() < 0.2:
            types = (
                "application/json",
                "text/plain",
                "",
                "multipart/form-data",
                "application/json; charset=utf-16",
            )
            headers.append(("Content-Type", pick.choice(types)))
        if pick.random() < 0.1:
            names = (
                "X-Request-Id",
                "Accept",
                "Origin",
                "X-Forwarded-For",
                "Cookie",
                "X-Api-Key",
                "If-None-Match",
            )
            headers.append((pick.choice(names), pick.choice(WORDS)))
        return headers

    def _encoded(self, headers: Headers, body: bytes) -> tuple[Headers, bytes]:
        pick = self.random
        packed = gzip.compress(body, mtime=0)
        kinds = [
            ("gzip", packed),
            ("gzip", packed[: pick.randrange(len(packed))]),
            ("gzip", body),
            ("gzip", packed[:10] + pick.randbytes(20)),
            ("gzip", gzip.compress(b" " * (4 * MAX_BODY), mtime=0)),
            ("gzip", packed + packed),
            ("br", body),
            ("gzip, gzip", packed),
            ("identity", body),
        ]
        encoding, body = pick.choice(kinds)
        return [*headers, ("Content-Encoding", encoding)], body

    def _chunks(self, body: bytes) -> bytes:
        cuts = sorted(self.random.randrange(len(body) + 1) for _ in range(self.random.randrange(4)))
        pieces = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
        return b"".join(b"%x\r\n%s\r\n" % (len(one), one) for one in pieces if one) + b"0\r\n\r\n"

    def _spoilt_framing(self) -> bytes:
        pick = self.random
        body = json.dumps(pick.choice(BODIES)).encode()
        size = len(body)
        auth = ("Authorization", f"Bearer {TOKEN}")
        chunked = ("Transfer-Encoding", "chunked")
        lengths = (
            size - 5,
            size + 50,
            -1,
            "x",
            "1e3",
            "",
            f"{size}, {size}",
            "9" * 30,
            f"+{size}",
            " 7 ",
            "0",
        )
        chunks = (
            b"zz\r\n",
            b"5\r\nab",
            b"-1\r\n\r\n",
            b"\r\n",
            b"f" * 16 + b"\r\n",
            b"2\r\nabc\r\n",
            b"3;x\r\n",
        )
        codings = ("x", "chunked, x", "x, chunked", "", "chunked, chunked")
        lines = ("POST / HTTP/9.9", "POST", "", "\x16\x03\x01", f"POST {CHAT}", f"GET /{'x' * 9000} HTTP/1.1")
        names = (b"Host\r\n", b": x\r\n", b"A b: c\r\n", b"a: \x00\r\n", b"a\r\n b: c\r\n", b"\xff: c\r\n")
        spoilt = (
            wire("POST", CHAT, [auth, ("Content-Length", str(pick.choice(lengths)))], body),
            wire("POST", CHAT, [auth, chunked], pick.choice(chunks)),
            wire("POST", CHAT, [auth, ("Transfer-Encoding", pick.choice(codings))], body),
            wire("POST", CHAT, [auth, chunked, ("Content-Length", "5")], b"0\r\n\r\n"),
            wire("POST", CHAT, [auth, auth, ("Content-Length", str(size))], body),
            pick.choice(lines).encode() + b"\r\nHost: x\r\n\r\n",
            b"GET /health HTTP/1.1\r\n" + pick.choice(names) + b"\r\n",
            wire("GET", "/health", [(f"X-{number}", "1") for number in range(100)], b""),
            wire("GET", "/health", [("X-Long", "x" * 9000)], b""),
        )
        return pick.choice(spoilt)

    def _elsewhere(self) -> bytes:
        pick = self.random
        path = pick.choice(PATHS)
        match pick.randrange(6):
            case 0:
                path += pick.choice(
                    ("/", "//", "%00", "?token=" + TOKEN, "#x", "/..", ";x", "%zz", "%ff", "é")
                )
            case 1:
                path = pick.choice(("/", "//")) + path
            case 2:
                path = path.upper()
        headers = [("Authorization", f"Bearer {TOKEN}")] if pick.random() < 0.6 else []
        return wire(pick.choice(METHODS), path, [*headers, ("Content-Length", "0")], b"")


def wire(method: str, path: str, headers: Headers, body: bytes) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *(f"{name}: {value}" for name, value in headers)]
    return b"\r\n".join([line.encode() for line in lines]) + b"\r\n\r\n" + body


class Connection:
    """Kept alive as long as the gateway does."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._sock: socket.socket | None = None

    def exchange(self, data: bytes, alone: bool) -> Answer:
        if self._sock is None or alone:
            self.close()
            self._sock = socket.create_connection(("127.0.0.1", self._port), timeout=SECONDS)
        self._sock.sendall(data)
        if alone:
            self._sock.shutdown(socket.SHUT_WR)
        response = http.client.HTTPResponse(self._sock, method=data.partition(b" ")[0].decode("latin-1"))
        try:
            response.begin()
            answer = Answer(response.status, response.headers, response.read())
            if response.will_close or alone:
                self.close()
        finally:
            response.close()
        return answer

    def close(self) -> None:
        if self._sock is not None:
            self._sock.close()
            self._sock = None


def check(answer: Answer, request: bytes) -> None:
    head = request.startswith(b"HEAD")
    is_tool_call = b"/tools/invoke" in request.partition(b"\r\n")[0]
    assert answer.status < 500 or answer.status == NOT_IMPLEMENTED, answer.body
    if answer.status >= 300 and not head:
        assert answer.headers["Content-Type"] == "application/json"
        if is_tool_call and "ok" in answer.json:  # the envelope of /tools/invoke
            assert set(answer.json) == {"ok", "error"}
            assert answer.json["ok"] is False
            assert set(answer.error) == {"message", "type"}
        else:
            assert set(answer.json) == {"error"}
            assert set(answer.error) == {"message", "type", "param", "code"}
        assert answer.error["message"]
    assert answer.headers["X-Request-Id"]
    if answer.status == 200 and answer.headers["Content-Type"].startswith("text/event-stream"):
        assert answer.body.endswith(b"data: [DONE]\n\n")


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_spoilt_requests_are_answered_and_leave_nothing_behind(
    start_gateway: StartGateway, provider: ScriptedProvider
) -> None:
    config = config_for(provider.url)
    config["gateway"]["http"]["endpoints"]["chatCompletions"]["maxBodyBytes"] = MAX_BODY
    gateway = start_gateway(config)
    fuzzer = Fuzzer(SEED)
    connections = [Connection(gateway.port) for _ in range(CONNECTIONS)]
    statuses: Counter[int] = Counter()
    with ExitStack() as stack:
        for connection in connections:
            stack.callback(connection.close)
        for number in range(REQUESTS):
            data, alone = fuzzer.request()
            begun = time.monotonic()
            try:
                answer = fuzzer.random.choice(connections).exchange(data, alone)
                check(answer, data)
                assert time.monotonic() - begun < SECONDS
            except Exception as error:
                raise AssertionError(f"FUZZ_SEED={SEED}, request {number}: {data[:3000]!r}") from error
            statuses[answer.status] += 1
    print(statuses)
    assert statuses[200] > REQUESTS / 10
    assert statuses[400] > REQUESTS / 10
    is_unharmed(gateway)


def is_unharmed(gateway: GatewayProcess) -> None:
    def idle() -> bool:
        answer: bool = gateway.request("GET", "/ready?verbose").json["activeRuns"] == 0
        return answer

    wait_until(idle, SECONDS, "end of all runs")
    assert gateway.ask("still there?").text == "echo: still there?"
    assert "Traceback" not in gateway.log
    assert "fault" not in gateway.log
