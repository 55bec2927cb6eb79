"""An HTTP proxy between the gateway and a provider.

A provider with TLS is reached through a tunnel (CONNECT, RFC 9110, section 9.3.6), so the proxy sees no more
than its name. One without TLS is asked for by its whole URL (RFC 9112, section 3.2.2).
"""

from __future__ import annotations

import base64
import time
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import gevent.socket

from app.errors import UpstreamError

MAX_HEAD_BYTES = 64 * 1024
MAX_REASON = 100  # characters


class Origin(NamedTuple):
    """Where a provider is."""

    host: str
    port: int
    tls: bool

    @classmethod
    def parse(cls, base_url: str) -> Origin:
        url = urlsplit(base_url)
        tls = url.scheme == "https"
        return cls(_ascii(url.hostname or ""), url.port or (443 if tls else 80), tls)

    @property
    def authority(self) -> str:
        """`host:port` as a request has it; the port that goes without saying is left out."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"


class Proxy(NamedTuple):
    """`authorization` is the value of `Proxy-Authorization`, None without credentials. It is a secret."""

    host: str
    port: int
    authorization: str | None = None

    @classmethod
    def parse(cls, url: str) -> Proxy:
        """The proxy of a URL such as `http://user:password@proxy:3128`. The port is 80 if it has none."""
        parts = urlsplit(url)
        authorization = None
        if parts.username is not None:
            credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            authorization = f"Basic {base64.b64encode(credentials.encode()).decode()}"
        return cls(_ascii(parts.hostname or ""), parts.port or 80, authorization)

    def __repr__(self) -> str:
        return f"Proxy({self.host}:{self.port})"


def open_tunnel(sock: gevent.socket.socket, proxy: Proxy, origin: Origin, seconds: float) -> None:
    """Have the proxy at the other end of `sock` connect it with the provider.

    Raises TimeoutError after `seconds`, and UpstreamError if the proxy refuses.
    """
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    lines = [f"CONNECT {host}:{origin.port} HTTP/1.1", f"Host: {host}:{origin.port}"]
    if proxy.authorization is not None:
        lines.append(f"Proxy-Authorization: {proxy.authorization}")
    where = f"The proxy at {proxy.host}:{proxy.port}"
    try:
        sock.sendall("\r\n".join((*lines, "", "")).encode())
        status, reason = _read_answer(sock, seconds)
    except (OSError, ValueError) as error:
        if isinstance(error, TimeoutError):
            raise
        raise UpstreamError(f"{where} does not answer like an HTTP proxy.", retries=1) from error
    if status == 407:
        raise UpstreamError(f"{where} wants other credentials (407): user and password in its URL.")
    if not 200 <= status < 300:
        raise UpstreamError(f"{where} does not connect to {host}:{origin.port} ({status} {reason}).")


def _read_answer(sock: gevent.socket.socket, seconds: float) -> tuple[int, str]:
    """Status and reason. Nothing may follow the head: the next bytes are the provider's TLS.

    Raises TimeoutError, OSError, and ValueError if it is not HTTP.
    """
    deadline = time.monotonic() + seconds
    head = bytearray()
    while b"\r\n\r\n" not in head:
        sock.settimeout(max(deadline - time.monotonic(), 0.001))
        data = sock.recv(4096)
        head += data
        if not data or len(head) > MAX_HEAD_BYTES:
            raise ValueError("not the head of an HTTP answer")
    sock.settimeout(seconds)
    version, _, rest = bytes(head).partition(b"\r\n")[0].decode("latin-1").partition(" ")
    status, _, reason = rest.partition(" ")
    if not version.startswith("HTTP/1."):
        raise ValueError("not HTTP")
    return int(status), "".join(filter(str.isprintable, reason))[:MAX_REASON]


def _ascii(host: str) -> str:
    """A host name as it is looked up and sent (RFC 5891)."""
    return host if host.isascii() else host.encode("idna").decode()
