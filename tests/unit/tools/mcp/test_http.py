"""Servers over HTTP that do what they should not; what goes right is tested with the SDK's server."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

import pytest

from app.cancel import Cancel
from app.errors import RunAborted
from app.tools.mcp.protocol import REVISIONS, McpError, ServerUnavailable
from tests.support.certificates import NAME, Certificates, make_certificates
from tests.support.http_proxy import HttpProxy
from tests.support.mcp_http_server import Handle, Request, mcp_http_server
from tests.unit.tools.mcp.servers import call, server_with

QUICK = {"connection_timeout_seconds": 20.0, "request_timeout_seconds": 20.0}


def when_called(handle: Handle) -> Handle:
    """Greets as it should, and does `handle` when a tool is called."""

    def with_greeting(request: Request) -> None:
        if request.message.get("method") == "tools/call":
            handle(request)
        else:
            request.hello()

    return with_greeting


def text(request: Request, said: str) -> None:
    request.result({"content": [{"type": "text", "text": said}]})


def test_the_headers_of_requests(tmp_path: Path):
    def handle(request: Request) -> None:
        if request.message.get("method") == "tools/call":
            text(request, "hi")
        else:
            request.hello(Mcp_Session_Id="s-1")

    with mcp_http_server(handle) as (url, seen):
        headers = {"authorization": "Bearer canary-token", "x-name": "grüße"}
        with server_with(tmp_path, url=url, headers=headers, **QUICK) as server:
            assert call(server, "echo").text == "hi"
        posts = [one for one in seen if one.method == "POST"]
        first, *others = posts
        assert first.headers["Mcp-Session-Id"] is None
        assert first.headers["MCP-Protocol-Version"] is None
        assert {one.headers["Mcp-Session-Id"] for one in others} == {"s-1"}
        assert {one.headers["MCP-Protocol-Version"] for one in others} == {REVISIONS[0]}
        assert {one.headers["Authorization"] for one in seen} == {"Bearer canary-token"}
        assert {one.headers["Accept"] for one in posts} == {"application/json, text/event-stream"}
        assert [one.headers["Mcp-Session-Id"] for one in seen if one.method == "DELETE"] == ["s-1"]
        assert [one.message.get("method") for one in posts[:3]] == [
            "initialize",
            "notifications/initialized",
            "tools/list",
        ]


@pytest.mark.parametrize("revision", REVISIONS)
def test_older_revisions_are_spoken(tmp_path: Path, revision: str):
    with mcp_http_server(lambda request: request.hello(revision)) as (url, seen):
        with server_with(tmp_path, url=url, **QUICK) as server:
            server.ready()
        assert seen[-1].headers["MCP-Protocol-Version"] == revision


def test_another_revision_is_not(tmp_path: Path):
    with (
        mcp_http_server(lambda request: request.hello("1999-01-01")) as (url, _),
        server_with(tmp_path, url=url, **QUICK) as server,
        pytest.raises(ServerUnavailable, match="1999-01-01"),
    ):
        server.ready()


def test_a_redirect_to_another_server_is_not_followed(tmp_path: Path):
    with (
        mcp_http_server(lambda request: request.hello()) as (other, seen),
        mcp_http_server(lambda request: request.answer(307, Location=other)) as (url, _),
        server_with(tmp_path, url=url, headers={"authorization": "canary"}, **QUICK) as server,
        pytest.raises(ServerUnavailable, match="another server"),
    ):
        server.ready()
    assert seen == []


def test_a_redirect_within_the_server_is_followed(tmp_path: Path):
    def handle(request: Request) -> None:
        if request.path == "/mcp":
            request.answer(307, Location="/mcp/")
        elif request.message.get("method") == "tools/call":
            text(request, request.path)
        else:
            request.hello()

    with mcp_http_server(handle) as (url, _), server_with(tmp_path, url=url, **QUICK) as server:
        assert call(server, "echo").text == "/mcp/"


def test_redirects_in_a_circle_end(tmp_path: Path):
    with (
        mcp_http_server(lambda request: request.answer(307, Location="/mcp")) as (url, seen),
        server_with(tmp_path, url=url, **QUICK) as server,
        pytest.raises(ServerUnavailable, match="redirects more than"),
    ):
        server.ready()
    assert len(seen) < 8


def test_a_call_in_a_session_that_has_ended_is_made_in_a_new_one(tmp_path: Path):
    sessions = iter(["old", "new"])

    def handle(request: Request) -> None:
        if request.message.get("method") == "initialize":
            request.hello(Mcp_Session_Id=next(sessions))
        elif request.message.get("method") != "tools/call":
            request.hello()
        elif request.headers["Mcp-Session-Id"] == "old":
            request.answer(404)
        else:
            text(request, "in the new one")

    with mcp_http_server(handle) as (url, _), server_with(tmp_path, url=url, **QUICK) as server:
        assert call(server, "echo").text == "in the new one"


def slowly(request: Request) -> None:
    """A stream of events that never has the answer."""
    request.handler.send_response(200)
    request.handler.send_header("Content-Type", "text/event-stream")
    request.handler.send_header("Connection", "close")
    request.handler.end_headers()
    request.handler.close_connection = True
    for _ in range(1000):
        request.handler.wfile.write(b": still here\n\n")
        time.sleep(0.02)


def huge(request: Request) -> None:
    request.handler.send_response(200)
    request.handler.send_header("Content-Type", "text/event-stream")
    request.handler.send_header("Connection", "close")
    request.handler.end_headers()
    request.handler.close_connection = True
    while True:
        request.handler.wfile.write(b"data: " + b"x" * 100_000)


def cut_short(request: Request) -> None:
    request.handler.wfile.write(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"
    )
    request.handler.close_connection = True


def many_headers(request: Request) -> None:
    request.handler.wfile.write(
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: 1\r\n" % n for n in range(5000)) + b"\r\n"
    )
    request.handler.close_connection = True


def hang_up(request: Request) -> None:
    request.handler.close_connection = True


@pytest.mark.parametrize(
    ("handle", "says"),
    [
        (lambda request: request.answer(500, b"oops " * 100_000), "status 500"),
        (lambda request: request.answer(400, b'{"error": {"message": "bad canary-token"}}'), "bad [key]"),
        (lambda request: request.answer(401), "refuses the credentials"),
        (lambda request: request.answer(200, b"<html>"), "not JSON"),
        (lambda request: request.answer(200, b"<html>", "text/html"), "does not answer the request"),
        (lambda request: request.answer(200, b"{}"), "does not answer the request"),
        (lambda request: request.answer(202), "does not answer the request"),
        (lambda request: request.answer(200, b"x", Content_Encoding="gzip"), "compresses"),
        (lambda request: request.answer(200, b"data: {}\n\n", "text/event-stream"), "does not answer"),
        (lambda request: request.answer(200, b"data: {\n\n", "text/event-stream"), "not JSON"),
        (lambda request: request.result([]), "no result"),
        (cut_short, "cut short"),
        (hang_up, "without an answer"),
        (many_headers, "not HTTP"),
        (huge, "more than 12 MiB"),
        (slowly, "within 4 s"),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_a_wrong_answer_is_an_error_and_the_next_call_works(tmp_path: Path, handle: Handle, says: str):
    wrong = True

    def once(request: Request) -> None:
        if wrong:
            handle(request)
        else:
            text(request, "fine")

    seconds = 4.0 if handle is slowly else 20.0
    with mcp_http_server(when_called(once)) as (url, _):
        settings = {**QUICK, "request_timeout_seconds": seconds}
        with server_with(tmp_path, url=url, headers={"authorization": "canary-token"}, **settings) as server:
            with pytest.raises(McpError) as caught:
                call(server, "echo")
            assert says in str(caught.value)
            assert "canary" not in str(caught.value)
            wrong = False
            assert call(server, "echo").text == "fine"


def test_a_cancelled_call_ends_at_once_and_the_server_is_told(tmp_path: Path):
    begun, cancel = threading.Event(), Cancel()

    def handle(request: Request) -> None:
        begun.set()
        slowly(request)

    def stop() -> None:
        begun.wait(20)
        cancel.cancel(RunAborted("stop"))

    with (
        mcp_http_server(when_called(handle)) as (url, seen),
        server_with(tmp_path, url=url, **QUICK) as server,
    ):
        server.ready()
        threading.Thread(target=stop).start()
        before = time.monotonic()
        with pytest.raises(RunAborted):
            server.request("tools/call", {"name": "echo", "arguments": {}}, cancel)
        assert time.monotonic() - before < 15
        deadline = time.monotonic() + 20
        while not any(one.message.get("method") == "notifications/cancelled" for one in seen):
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_the_older_transport_must_not_lead_to_another_server(tmp_path: Path):
    def handle(request: Request) -> None:
        body = b"event: endpoint\ndata: https://evil.example.com/take\n\n"
        request.answer(200, body, "text/event-stream")

    with (
        mcp_http_server(handle) as (url, _),
        server_with(tmp_path, url=url, transport="sse", **QUICK) as server,
        pytest.raises(ServerUnavailable, match="another server"),
    ):
        server.ready()


def test_a_server_that_knows_the_older_transport_alone_is_found(tmp_path: Path):
    asked: list[str] = []

    def handle(request: Request) -> None:
        asked.append(request.method)
        if request.method == "POST":
            request.answer(405)
        else:
            request.answer(200, b"event: endpoint\ndata: /messages\n\n", "text/event-stream")

    with (
        mcp_http_server(handle) as (url, _),
        server_with(tmp_path, url=url, **QUICK) as server,
        pytest.raises(ServerUnavailable, match="ended its stream"),
    ):
        server.ready()
    assert asked[:2] == ["POST", "GET"]


def test_what_is_no_http_server_is_named(tmp_path: Path):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/mcp?key=canary"
        with server_with(tmp_path, url=url, **QUICK) as server, pytest.raises(ServerUnavailable) as caught:
            server.ready()
    assert "127.0.0.1" in str(caught.value)
    assert "canary" not in str(caught.value)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


def test_tls_through_a_tunnel_of_the_proxy(tmp_path: Path, certificates: Certificates):
    with mcp_http_server(when_called(lambda request: text(request, "safe")), certificates.server) as (
        url,
        seen,
    ):
        port = int(url.rpartition(":")[2].partition("/")[0])
        with HttpProxy(port) as proxy:
            settings = {
                **QUICK,
                "url": f"https://{NAME}/mcp",
                "proxy": f"http://user:pass@{proxy.address}",
                "trusted_ca_files": (certificates.authority,),
            }
            with server_with(tmp_path, **settings) as server:
                assert [call(server, "echo").text for _ in range(2)] == ["safe", "safe"]
            assert set(proxy.requests) == {f"CONNECT {NAME}:443 HTTP/1.1"}
            assert proxy.credentials[0] == "user:pass"
    assert seen[0].headers["Host"] == NAME
    assert seen[0].headers["Proxy-Authorization"] is None


def test_a_certificate_is_checked_unless_it_is_not_to_be(tmp_path: Path, certificates: Certificates):
    with mcp_http_server(when_called(lambda request: text(request, "hm")), certificates.server) as (url, _):
        url = url.replace("http://", "https://")
        with server_with(tmp_path, url=url, **QUICK) as server, pytest.raises(ServerUnavailable) as caught:
            server.ready()
        assert "certificate is not trusted" in str(caught.value)
        with server_with(tmp_path, url=url, ssl_verify=False, **QUICK) as server:
            assert call(server, "echo").text == "hm"


def test_without_tls_the_proxy_is_asked_for_the_whole_url(tmp_path: Path):
    with mcp_http_server(when_called(lambda request: text(request, "hi"))) as (url, _):
        port = int(url.rpartition(":")[2].partition("/")[0])
        with HttpProxy(port) as proxy:
            settings = {**QUICK, "url": "http://mcp.example.com/mcp", "proxy": f"http://{proxy.address}"}
            with server_with(tmp_path, **settings) as server:
                assert call(server, "echo").text == "hi"
            assert "POST http://mcp.example.com/mcp HTTP/1.1" in proxy.requests
