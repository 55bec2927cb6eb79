"""Closing a connection whose client may still be sending.

Closing a socket that has unread input sends a reset, and a reset can destroy the last bytes of the answer on
their way. So a server that does not want the rest of what a client sends has to read it and throw it away,
for a moment.
"""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from typing import Any

from app.concurrency.fairness import give_way

MAX_LINGER_BYTES = 32 * 1024 * 1024  # more than the largest body that is accepted
READ_BYTES = 64 * 1024


def end_sending(sock: Any) -> None:
    """Send FIN: nothing more comes from our side."""
    with suppress(OSError):
        sock.shutdown(socket.SHUT_WR)


def discard_input(sock: Any, seconds: float) -> None:
    """Read and throw away what arrives until the client closes its side, MAX_LINGER_BYTES have come, or
    `seconds` have passed. Changes the time-out of the socket, which is to be closed next.
    """
    deadline = time.monotonic() + seconds
    left = MAX_LINGER_BYTES
    with suppress(OSError):
        while left > 0 and (wait := deadline - time.monotonic()) > 0:
            sock.settimeout(wait)
            data = sock.recv(READ_BYTES)
            if not data:
                return
            left -= len(data)
            give_way()
