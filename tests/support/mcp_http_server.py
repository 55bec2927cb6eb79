"""An MCP server over HTTP whose answers a test writes itself, byte by byte if it likes."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

Handle = Callable[["Request"], None]


class Request:
    """A request and the ways to answer it."""

    def __init__(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        self.handler = handler
        self.method = handler.command
        self.path = handler.path
        self.headers = handler.headers
        self.message: dict[str, Any] = json.loads(body) if body else {}

    def answer(
        self, status: int = 200, body: bytes = b"", kind: str = "application/json", **headers: str
    ) -> None:
        self.handler.send_response(status)
        self.handler.send_header("Content-Type", kind)
        self.handler.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.handler.send_header(name.replace("_", "-"), value)
        self.handler.end_headers()
        self.handler.wfile.write(body)

    def result(self, result: Any, **headers: str) -> None:
        message = {"jsonrpc": "2.0", "id": self.message["id"], "result": result}
        self.answer(200, json.dumps(message).encode(), **headers)

    def hello(self, revision: str = "2025-11-25", **headers: str) -> None:
        """The answer to what every client does first; anything else gets 405 or 202."""
        method = self.message.get("method")
        if method == "initialize":
            about = {"name": "http", "version": "1"}
            capabilities = {"tools": {}}
            self.result(
                {"protocolVersion": revision, "capabilities": capabilities, "serverInfo": about}, **headers
            )
        elif method == "tools/list":
            self.result({"tools": [{"name": "echo", "inputSchema": {"type": "object"}}]})
        elif self.method == "POST":
            self.answer(202)
        else:
            self.answer(405)


@contextmanager
def mcp_http_server(handle: Handle, certificate: Path | None = None) -> Iterator[tuple[str, list[Request]]]:
    """The server's URL, and the requests that it has got; with TLS if there is a `certificate`."""
    seen: list[Request] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _handle(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            request = Request(self, self.rfile.read(size))
            seen.append(request)
            try:
                handle(request)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        do_POST = do_GET = do_DELETE = _handle  # noqa: N815

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/mcp", seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
