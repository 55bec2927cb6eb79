"""The reverse proxies of `examples/`, run by the real programs: behind them nothing is lost."""

from __future__ import annotations

import copy
import json
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.e2e.test_leaving import unanswered
from tests.support.gateway import ROOT, TOKEN, GatewayProcess, clean_environment, free_port, read_until
from tests.support.provider import ScriptedProvider, done, finish, hang, text, wait_for, wait_until

EXAMPLES = ROOT / "examples"
PIECES = ["one ", "two ", "three ", "four"]
TOO_MUCH = 20 * 1024 * 1024 + 1

# What an nginx.conf has around the example.
NGINX = """
{user}
worker_processes 1;
pid nginx.pid;
error_log stderr warn;
events {{}}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    include example.conf;
}}
"""
CADDY = "{\n\tadmin off\n}\n"

Command = Callable[[Path, int, int], list[str]]


def nginx(folder: Path, port: int, upstream: int) -> list[str]:
    example = (EXAMPLES / "nginx.conf").read_text()
    (folder / "example.conf").write_text(
        replaced(
            example, {"listen 80;": f"listen 127.0.0.1:{port};", "127.0.0.1:18789": f"127.0.0.1:{upstream}"}
        )
    )
    # Its workers could not look into a test's folder as another user.
    (folder / "nginx.conf").write_text(NGINX.format(user="user root;" if os.geteuid() == 0 else ""))
    return [
        program("nginx"),
        "-p",
        str(folder),
        "-c",
        "nginx.conf",
        "-e",
        "stderr",
        "-g",
        "daemon off;",
    ]


def caddy(folder: Path, port: int, upstream: int) -> list[str]:
    example = (EXAMPLES / "Caddyfile").read_text()
    names = {
        "gateway.example.org": f"http://127.0.0.1:{port}",
        "127.0.0.1:18789": f"127.0.0.1:{upstream}",
    }
    (folder / "Caddyfile").write_text(CADDY + replaced(example, names))
    return [program("caddy"), "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


def replaced(example: str, names: dict[str, str]) -> str:
    for name, value in names.items():
        assert example.count(name) == 1
        example = example.replace(name, value)
    return example


def program(name: str) -> str:
    path = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    assert path is not None, f"{name} is not installed. On Debian and Ubuntu: apt install {name}"
    return path


@contextmanager
def running(command: Command, folder: Path, upstream: int) -> Iterator[int]:
    """The port of a proxy to `upstream`."""
    port = free_port()
    log_path = folder / "proxy.log"
    environment = clean_environment(HOME=str(folder), XDG_DATA_HOME=str(folder), XDG_CONFIG_HOME=str(folder))
    with log_path.open("wb") as log:
        process = subprocess.Popen(command(folder, port, upstream), stdout=log, stderr=log, env=environment)
    with process:
        try:
            wait_until(lambda: process.poll() is not None or answers(port), 30, "proxy")
            assert process.poll() is None, log_path.read_text()
            yield port
        finally:
            end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:  # Caddy waits for its clients
        process.kill()


def answers(port: int) -> bool:
    with closing(socket.socket()) as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(params=[nginx, caddy])
def command(request: pytest.FixtureRequest) -> Command:
    chosen: Command = request.param
    return chosen


@pytest.fixture
def behind(gateway: GatewayProcess, command: Command, tmp_path: Path) -> Iterator[GatewayProcess]:
    """The gateway as it is reached through the proxy."""
    with running(command, tmp_path, gateway.port) as port:
        proxied = copy.copy(gateway)
        proxied.port = port
        yield proxied


def test_a_plain_answer_passes(behind: GatewayProcess) -> None:
    answer = behind.ask("hi")
    assert (answer.status, answer.text) == (200, "echo: hi")
    assert behind.ask("hi again").text == "echo: hi again"


def test_each_piece_of_a_stream_arrives_when_it_is_sent(
    behind: GatewayProcess, provider: ScriptedProvider
) -> None:
    """Each is sent to the gateway when the client has the one before it."""
    has_arrived = {piece: threading.Event() for piece in PIECES}
    script = [step for piece, event in has_arrived.items() for step in (text(piece), wait_for(event))]
    provider.plays([*script, finish(), done()])
    with behind.stream("hi") as stream:
        assert stream.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert "Content-Encoding" not in stream.headers
        for piece, event in has_arrived.items():
            read_until(stream, f'"{piece}"'.encode())
            event.set()
        assert b"[DONE]" in stream.read()


def test_the_head_of_a_stream_does_not_wait_for_the_model(
    behind: GatewayProcess, provider: ScriptedProvider
) -> None:
    provider.plays([hang()])
    with behind.stream("hi") as stream:
        assert b'"role":"assistant"' in stream.readline()
        provider.wait_for_requests(1)
        assert provider.open == 1, "the model has said nothing yet"


@pytest.mark.parametrize("script", [[text("begun"), hang()], [hang()]])
def test_leaving_a_stream_aborts_its_run(
    behind: GatewayProcess, provider: ScriptedProvider, script: list[object]
) -> None:
    provider.plays(script)  # type: ignore[arg-type]
    with behind.stream("hi") as stream:
        stream.readline()
        provider.wait_for_requests(1)
    provider.wait_for_leaving()


def test_leaving_a_plain_request_aborts_its_run(behind: GatewayProcess, provider: ScriptedProvider) -> None:
    provider.plays([hang()])
    with unanswered(behind):
        provider.wait_for_requests(1)
    provider.wait_for_leaving()


def test_the_request_id_passes_both_ways(behind: GatewayProcess) -> None:
    answer = behind.request("GET", "/health", headers={"X-Request-Id": "mine-123"})
    assert answer.headers.get_all("X-Request-Id") == ["mine-123"]
    assert len(behind.request("GET", "/health").headers["X-Request-Id"]) > 8


def test_headers_that_choose_pass(behind: GatewayProcess, provider: ScriptedProvider) -> None:
    body = {"model": "openclaw", "messages": [{"role": "user", "content": "hi"}]}
    assert behind.chat(body, x_openclaw_agent_id="beta").status == 200
    assert provider.messages()[0] == ("system", "You are beta.")


def test_errors_are_the_gateways_own(behind: GatewayProcess) -> None:
    refused = behind.chat({}, token="wrong")
    assert (refused.status, refused.error["type"]) == (401, "unauthorized")
    assert refused.headers["WWW-Authenticate"] == "Bearer"
    lost = behind.request("GET", "/v1/nothing", headers={"Authorization": f"Bearer {TOKEN}"})
    assert (lost.status, lost.error["code"]) == (404, "not_found")


@pytest.mark.parametrize("framing", [[], ["-H", "Transfer-Encoding: chunked"]])
def test_a_body_that_is_too_large_gets_the_gateways_answer(
    behind: GatewayProcess, tmp_path: Path, framing: list[str]
) -> None:
    body, url = tmp_path / "too-much", f"{behind.url}/v1/chat/completions"
    body.write_bytes(b"x" * TOO_MUCH)
    sent = ["-H", f"Authorization: Bearer {TOKEN}", "--data-binary", f"@{body}", *framing]
    curl = ["curl", "-sS", "-w", "\n%{http_code}", "--max-time", "30", url, *sent]
    answer = subprocess.run(curl, capture_output=True, text=True, timeout=60)
    assert answer.returncode == 0, answer.stderr
    said, status = answer.stdout.rsplit("\n", 1)
    assert status == "413"
    assert json.loads(said)["error"]["code"] == "body_too_large"


def test_a_websocket_passes(command: Command, tmp_path: Path) -> None:
    with (
        echo_after_upgrade() as upstream,
        running(command, tmp_path, upstream) as port,
        socket.create_connection(("127.0.0.1", port), timeout=5) as sock,
    ):
        sock.sendall(UPGRADE % port)
        assert read_head(sock).startswith(b"HTTP/1.1 101 ")
        sock.sendall(b"through the proxy")
        assert sock.recv(100) == b"through the proxy"


UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
ASKED = (b"get / http/1.1\r\n", b"\r\nupgrade: websocket\r\n", b"\r\nconnection: upgrade\r\n")
SWITCHED = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)


@contextmanager
def echo_after_upgrade() -> Iterator[int]:
    """The port of a server that switches protocols when it is asked to, then sends back what comes."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(10)

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            head = read_head(connection).lower()
            if all(line in head for line in ASKED):
                connection.sendall(SWITCHED)
            connection.sendall(connection.recv(100))

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        thread.join()
        listener.close()


def read_head(sock: socket.socket) -> bytes:
    head = b""
    while not head.endswith(b"\r\n\r\n") and (piece := sock.recv(1)):
        head += piece
    return head
