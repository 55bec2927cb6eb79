"""A web server on loopback that answers with the bytes a test gives it, valid HTTP or not."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
import zlib
from collections.abc import Iterable

Answer = bytes | Iterable[bytes | float]


def png(size: int = 0) -> bytes:
    """A real image of one pixel, with `size` bytes of text in it."""
    ihdr = _chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    text = _chunk(b"tEXt", b"k\0" + b"x" * size) if size else b""
    idat = _chunk(b"IDAT", zlib.compress(b"\0\0"))
    return b"\x89PNG\r\n\x1a\n" + ihdr + text + idat + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def ok(body: bytes, *headers: str) -> bytes:
    return head(200, f"Content-Length: {len(body)}", *headers) + body


def redirect(url: str, status: int = 302) -> bytes:
    return head(status, f"Location: {url}", "Content-Length: 0")


def head(status: int, *headers: str) -> bytes:
    return "\r\n".join((f"HTTP/1.1 {status} Whatever", *headers, "", "")).encode("latin-1")


class ImageHost:
    """Start with `with`. `pages`: path -> its answer, bytes or pieces with pauses in seconds."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.pages: dict[str, Answer] = {}
        self.requests: list[str] = []
        self.connections = 0
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._over = threading.Event()
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> ImageHost:
        threading.Thread(target=self._listen, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def url(self, path: str, host: str = "images.test", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}{path}"

    def _listen(self) -> None:
        while not self._over.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        try:
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True)
            request = b""
            while b"\r\n\r\n" not in request and (piece := sock.recv(65536)):
                request += piece
            self.requests.append(request.decode("latin-1"))
            self._answer(sock, self.pages[request.split()[1].decode()])
        except (OSError, LookupError, UnicodeError):
            pass  # the other side has had enough, or never asked
        finally:
            sock.close()

    def _answer(self, sock: socket.socket, answer: Answer) -> None:
        for piece in (answer,) if isinstance(answer, bytes) else answer:
            if isinstance(piece, bytes):
                sock.sendall(piece)
            elif self._over.wait(piece):
                return
