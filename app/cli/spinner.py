"""A spinner on a terminal while there is nothing to print; nothing is printed anywhere else."""

from __future__ import annotations

import sys
import threading
from types import TracebackType

FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
SECONDS_A_FRAME = 0.1
CLEAR = "\r\x1b[2K"


class Spinner:
    """Spins on standard error from `with` until `stop`, in a thread of its own."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._stopped = threading.Event()
        self._writing = threading.Lock()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Spinner:
        if sys.stderr.isatty():
            self._thread = threading.Thread(target=self._spin, daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Stops the thread and clears the line. May be called more than once."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def print_line(self, line: str) -> None:
        """Prints a line on standard error, and spins on below it."""
        with self._writing:
            print(f"{CLEAR if self._thread is not None else ''}{line}", file=sys.stderr, flush=True)

    def _spin(self) -> None:
        count = 0
        while not self._stopped.wait(SECONDS_A_FRAME):
            with self._writing:
                sys.stderr.write(f"\r{FRAMES[count % len(FRAMES)]} {self._text}")
                sys.stderr.flush()
            count += 1
        sys.stderr.write(CLEAR)
        sys.stderr.flush()
