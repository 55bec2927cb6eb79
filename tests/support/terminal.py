"""A command at a terminal: standard input and standard error are one, standard output is a pipe."""

from __future__ import annotations

import codecs
import os
import pty
import select
import signal
import subprocess
import threading
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
        self._decoder = codecs.getincrementaldecoder("utf-8")()

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
            if select.select([self._terminal], [], [], 0.1)[0] and not self._read():
                raise AssertionError(f"the command ended: {self.shown}")

    def _read(self) -> bool:
        """Read what is shown; False if that was all."""
        try:
            self.shown += self._decoder.decode(os.read(self._terminal, 65536))  # may end within a character
        except OSError:
            return False
        return True

    def types(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def interrupts(self) -> None:
        """Ctrl-C."""
        self._process.send_signal(signal.SIGINT)

    def ends(self) -> tuple[int, str]:
        """Its exit code, and its standard output. Reads on: a full terminal stops who writes to it."""
        reading = threading.Thread(target=self._read_all, daemon=True)
        reading.start()
        try:
            out, _ = self._process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"the command does not end: {self.shown}") from error
        reading.join(PATIENCE)
        return self._process.returncode, out.decode()

    def _read_all(self) -> None:
        while self._read():
            pass
