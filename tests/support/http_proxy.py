"""A real HTTP proxy on loopback: tunnels (CONNECT) and whole URLs, to the one server that it knows."""

from __future__ import annotations

import base64
import socket
import threading
from contextlib import suppress
from typing import Any


class HttpProxy:
    """Start with `with`. Whatever name it is asked for, it connects to `port` on loopback.

    `requests` has each request line, `credentials` the user and password that came with it. `refuse` is a
    status that it answers instead of connecting.
    """

    def __init__(self, port: int, refuse: int | None = None) -> None:
        self.requests: list[str] = []
        self.credentials: list[str | None] = []
        self._target, self._refuse = port, refuse
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._server.getsockname()[1]}"

    def __enter__(self) -> HttpProxy:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._server.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            if not (data := client.recv(65536)):
                return client.close()
            head += data
        head, _, rest = head.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in lines}
        self.requests.append(first)
        given = headers.get("proxy-authorization", "")
        self.credentials.append(base64.b64decode(given[6:]).decode() if given.startswith("Basic ") else None)
        if self._refuse:
            client.sendall(f"HTTP/1.1 {self._refuse} Not here\r\nContent-Length: 0\r\n\r\n".encode())
            return client.close()
        server = socket.create_connection(("127.0.0.1", self._target))
        if first.startswith("CONNECT "):
            client.sendall(b"HTTP/1.1 200 Connection established\r\nVia: 1.1 test\r\n\r\n")
            server.sendall(rest)
        else:
            server.sendall(head + b"\r\n\r\n" + rest)
        back = threading.Thread(target=_pipe, args=(server, client), daemon=True)
        back.start()
        _pipe(client, server)
        back.join()
        server.close()
        return client.close()


def _pipe(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for one in (source, target):
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
