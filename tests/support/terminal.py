"""A command at a terminal: standard input and standard error are one, standard output is a pipe."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from tests.support.provider import PATIENCE


class Terminal:
    """`shown` is what the terminal shows so far."""

    def __init__(self, command: Sequence[str], environment: dict[str, str], folder: Path) -> None:
        self._terminal, side = pty.openpty()
        self._process = subprocess.Popen(
            command, stdin=side, stdout=subprocess.PIPE, stderr=side, env=environment, cwd=folder
        )
        os.close(side)
        self.shown = ""

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        os.close(self._terminal)

    def until(self, text: str) -> None:
        """Wait until the terminal shows `text` once more."""
        deadline = time.monotonic() + PATIENCE
        seen = len(self.shown)
        while text not in self.shown[seen:]:
            assert time.monotonic() < deadline, self.shown
            if select.select([self._terminal], [], [], 0.1)[0]:
                try:
                    self.shown += os.read(self._terminal, 65536).decode()
                except OSError as error:
                    raise AssertionError(f"the command ended: {self.shown}") from error

    def types(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def interrupts(self) -> None:
        """Ctrl-C."""
        self._process.send_signal(signal.SIGINT)

    def ends(self) -> tuple[int, str]:
        """Its exit code, and its standard output."""
        out, _ = self._process.communicate(timeout=PATIENCE)
        return self._process.returncode, out.decode()
