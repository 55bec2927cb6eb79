"""What a server says beside the protocol (its standard error), in our log: bounded, and without secrets."""

from __future__ import annotations

import logging
import re
import time
from collections import deque
from collections.abc import Iterable

from app.logs.lines import log_event
from app.providers.http.secrets import Secrets
from app.tools.mcp.results import clean

logger = logging.getLogger("app.tools.mcp")

MAX_LINE = 500  # characters
BURST = 50  # lines at once
LINES_PER_SECOND = 5.0
TAIL_LINES = 3

_PARTS = re.compile(r"[\s;,=\"]+")


def server_secrets(values: Iterable[str]) -> Secrets:
    """The values of headers and variables, and their parts (`Bearer KEY`)."""
    return Secrets(part for value in values for part in (value, *_PARTS.split(value)))


class ServerLog:
    def __init__(self, name: str, secrets: Secrets) -> None:
        self._name, self._secrets = name, secrets
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._credit = float(BURST)
        self._at = time.monotonic()
        self._left_out = 0

    def said(self, line: bytes) -> None:
        """Log a line, unless there have been too many lately."""
        text = self._secrets.remove_from(clean(line[: 8 * MAX_LINE].decode("utf-8", "replace"), MAX_LINE))
        self._tail.append(text)
        now = time.monotonic()
        self._credit = min(BURST, self._credit + (now - self._at) * LINES_PER_SECOND)
        self._at = now
        if self._credit < 1:
            self._left_out += 1
            return
        self._credit -= 1
        log_event(
            logger,
            logging.INFO,
            "mcp server says",
            server=self._name,
            text=text,
            lines_left_out=self._left_out or None,
        )
        self._left_out = 0

    def tail(self) -> str:
        """Its last lines, for the error that says why it did not start."""
        return " / ".join(self._tail)[-3 * MAX_LINE :]
