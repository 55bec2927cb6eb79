"""The requests to a proxy, and its answers, good and bad."""

from __future__ import annotations

from collections.abc import Iterator

import gevent
import gevent.socket
import pytest

from app.errors import UpstreamError
from app.providers.http.headers import common_head, request_target
from app.providers.http.proxy import MAX_HEAD_BYTES, Origin, Proxy, open_tunnel

ORIGIN = Origin("llm.corp", 443, True)
PROXY = Proxy.parse("http://us%3Aer:p%40ss@proxy:3128")


@pytest.fixture
def sockets() -> Iterator[tuple[gevent.socket.socket, gevent.socket.socket]]:
    ours, its = gevent.socket.socketpair()
    with ours, its:
        yield ours, its


def test_a_proxy_and_its_credentials():
    assert (PROXY.host, PROXY.port, PROXY.authorization) == ("proxy", 3128, "Basic dXM6ZXI6cEBzcw==")
    assert Proxy.parse("http://[::1]") == ("::1", 80, None)
    assert "dXM6" not in repr(PROXY)


@pytest.mark.parametrize(
    ("base_url", "authority"),
    [
        ("https://llm.corp/v1", "llm.corp"),
        ("https://llm.corp:443/v1", "llm.corp"),
        ("https://llm.corp:8443/v1", "llm.corp:8443"),
        ("http://[fd00::1]:8000/v1", "[fd00::1]:8000"),
        ("https://bücher.example/v1", "xn--bcher-kva.example"),
    ],
)
def test_the_authority_of_a_request(base_url: str, authority: str):
    assert Origin.parse(base_url).authority == authority


@pytest.mark.parametrize(
    ("base_url", "proxy", "target"),
    [
        ("https://llm.corp/v1", None, ("/v1", "")),
        ("https://llm.corp", None, ("", "")),
        ("https://llm.corp/a?api-version=1", None, ("/a", "?api-version=1")),
        ("https://llm.corp/v1", PROXY, ("/v1", "")),
        ("http://llm.corp:8000/v1?a=b", PROXY, ("http://llm.corp:8000/v1", "?a=b")),
        ("http://llm.corp/é%20", None, ("/%C3%A9%20", "")),
    ],
)
def test_the_target_of_a_request(base_url: str, proxy: Proxy | None, target: tuple[str, str]):
    assert request_target(base_url, Origin.parse(base_url), proxy) == target


def test_credentials_of_a_proxy_go_to_the_proxy_alone():
    plain = Origin("llm.corp", 80, False)
    assert b"Proxy-Authorization: Basic dXM6ZXI6cEBzcw==\r\n" in common_head({}, plain, PROXY)
    assert b"Proxy-Authorization" not in common_head({}, ORIGIN, PROXY)
    assert b"\r\nhost: evil" not in common_head({"host": "evil", "content-length": "1"}, plain, None).lower()


def test_a_tunnel_is_asked_for_once(sockets: tuple[gevent.socket.socket, gevent.socket.socket]):
    ours, its = sockets
    its.sendall(b"HTTP/1.1 200 OK\r\nVia: x\r\n\r\n")
    open_tunnel(ours, PROXY, ORIGIN, 5)
    assert its.recv(1000) == (
        b"CONNECT llm.corp:443 HTTP/1.1\r\nHost: llm.corp:443\r\n"
        b"Proxy-Authorization: Basic dXM6ZXI6cEBzcw==\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "407"),
        (b"HTTP/1.1 403 Not\x1b[2J here\r\n\r\n", "(403 Not[2J here)"),
        (b"HTTP/1.1 502\r\n\r\n", "502"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "not answer like an HTTP proxy"),
        (b"HTTP/1.1 abc\r\n\r\n", "not answer like an HTTP proxy"),
        (b"x" * (MAX_HEAD_BYTES + 1), "not answer like an HTTP proxy"),
    ],
)
def test_a_proxy_that_refuses(
    sockets: tuple[gevent.socket.socket, gevent.socket.socket], answer: bytes, says: str
):
    ours, its = sockets
    sender = gevent.spawn(its.sendall, answer)
    with pytest.raises(UpstreamError) as caught:
        open_tunnel(ours, PROXY, ORIGIN, 5)
    assert says in caught.value.message
    assert "p@ss" not in caught.value.message
    sender.kill()


def test_a_proxy_that_closes_the_connection(sockets: tuple[gevent.socket.socket, gevent.socket.socket]):
    ours, its = sockets
    its.close()
    with pytest.raises(UpstreamError, match="not answer like an HTTP proxy"):
        open_tunnel(ours, PROXY, ORIGIN, 5)


def test_a_silent_proxy_times_out(sockets: tuple[gevent.socket.socket, gevent.socket.socket]):
    with pytest.raises(TimeoutError):
        open_tunnel(sockets[0], PROXY, ORIGIN, 0.05)
