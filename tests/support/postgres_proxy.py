"""Stands between a client and PostgreSQL, and cuts the connection at the worst moment."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Literal, Self

Cut = Literal["", "before", "behind"]


class PostgresProxy:
    """Forwards connections to the server at `port` of loopback.

    `cut`: the next connection that sends a COMMIT is cut, once: `before` the server gets it, or `behind` it,
    when the server has answered and before the client hears of it.
    """

    def __init__(self, port: int) -> None:
        self._upstream = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.cut: Cut = ""
        self.cuts = 0
        self.is_silent = False  # keeps what it gets, as a network that has gone away does
        self._sockets: list[socket.socket] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._listener.close()
        self.cut_all()

    def url(self, url: str) -> str:
        """That database, by way of this proxy."""
        return url.replace(f":{self._upstream}/", f":{self.port}/")

    def cut_all(self) -> None:
        """Cut every connection that there is."""
        while self._sockets:
            _close(self._sockets.pop())

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._upstream))
            except OSError:
                client.close()
                continue
            self._sockets += client, server
            threading.Thread(target=self._serve, args=(client, server), daemon=True).start()

    def _serve(self, client: socket.socket, server: socket.socket) -> None:
        cut_behind = threading.Event()
        threading.Thread(target=self._answer, args=(client, server, cut_behind), daemon=True).start()
        with suppress(OSError):
            while data := client.recv(65536):
                if self.is_silent:
                    continue
                if b"COMMIT\0" in data and self.cut:
                    self.cuts += 1
                    how, self.cut = self.cut, ""
                    if how == "before":
                        break
                    cut_behind.set()
                server.sendall(data)
        if not cut_behind.is_set():
            _close(client)
            _close(server)

    def _answer(self, client: socket.socket, server: socket.socket, cut_behind: threading.Event) -> None:
        with suppress(OSError):
            while data := server.recv(65536):
                if cut_behind.is_set():
                    break
                if not self.is_silent:
                    client.sendall(data)
        _close(client)
        _close(server)


def _close(sock: socket.socket) -> None:
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()
