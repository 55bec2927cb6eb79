"""A web server on loopback for tests."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class PageHost:
    """Start with `with`. Pages are set by `serve` and `redirect`; any other is a 404."""

    def __init__(self) -> None:
        self.pages: dict[str, tuple[int, str, bytes]] = {}
        self.asked: list[str] = []  # paths without the query
        self.asked_for: list[str] = []  # with it
        self.headers: list[dict[str, str]] = []
        host = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                host.asked.append(path)
                host.asked_for.append(self.path)
                host.headers.append(dict(self.headers))
                status, kind, body = host.pages.get(path, (404, "text/plain", b"not here"))
                self.send_response(status)
                self.send_header("Location" if status == 302 else "Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> PageHost:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def serve(self, path: str, body: str, kind: str = "text/html") -> None:
        self.pages[path] = (200, kind, body.encode())

    def redirect(self, path: str, url: str) -> None:
        self.pages[path] = (302, url, b"")
