"""The Control UI's page: its files come from the client's package, its WebSocket leads to the gateway."""

from __future__ import annotations

import mimetypes
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Site(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, files: Path, gateway_port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files = files.resolve()
        self.gateway_port = gateway_port


@contextmanager
def served(files: Path, gateway_port: int) -> Iterator[str]:
    """The address at which a browser finds both, as behind a reverse proxy."""
    site = Site(files, gateway_port)
    threading.Thread(target=site.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{site.server_port}"
    finally:
        site.shutdown()
        site.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Site

    def do_GET(self) -> None:
        if self.headers.get("Upgrade", "").lower() == "websocket":
            self._pass_on()
        else:
            self._answer()

    def _answer(self) -> None:
        """A file, or the page for every address that looks like one of its own."""
        path = self.path.split("?")[0].lstrip("/")
        file = (self.server.files / path).resolve()
        if "." not in file.name:
            file = self.server.files / "index.html"
        found = file.is_file() and file.is_relative_to(self.server.files)
        body = file.read_bytes() if found else b""
        self.send_response(HTTPStatus.OK if found else HTTPStatus.NOT_FOUND)
        self.send_header("Content-Type", mimetypes.guess_type(file.name)[0] or "application/octet-stream")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _pass_on(self) -> None:
        """The upgrade as it came, then every byte of both sides."""
        self.close_connection = True
        with socket.create_connection(("127.0.0.1", self.server.gateway_port)) as upstream:
            head = f"GET {self.path} HTTP/1.1\r\n{str(self.headers).replace(chr(10), chr(13) + chr(10))}"
            upstream.sendall(head.encode("latin-1"))
            threading.Thread(target=_pump, args=(upstream, self.connection), daemon=True).start()
            _pump(self.connection, upstream)

    def log_message(self, *_: object) -> None:
        pass


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for sock in (source, target):
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
