"""The processes of another gateway, which are paused while other subjects are measured."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from bench.processes import Process

START_SECONDS = 300
QUIET_CORES, QUIET_SECONDS, SETTLE_SECONDS = 0.1, 1.0, 60.0


class Peer(Process):
    """Another gateway's processes, which may outlive their parent.

    They are paused while another subject is measured: even idle, they would use CPU.
    """

    is_warm = False

    @property
    def worker(self) -> int:
        largest: int = max(self._tree(), key=lambda process: process.memory_info().rss).pid
        return largest

    def stop(self) -> None:
        try:
            tree = self._tree()
        except psutil.NoSuchProcess:
            return
        self._signal(signal.SIGCONT)
        super().stop()
        for process in tree:
            with suppress(psutil.NoSuchProcess):
                process.kill()

    @contextmanager
    def awake(self) -> Iterator[None]:
        """Resumes the processes; at the end it waits until they are idle, and pauses them."""
        self._signal(signal.SIGCONT)
        try:
            yield
        finally:
            self.settle()
            self._signal(signal.SIGSTOP)

    def _signal(self, number: signal.Signals) -> None:
        with suppress(psutil.NoSuchProcess):
            for process in self._tree():
                process.send_signal(number)

    def settle(self) -> None:
        """Waits until it is nearly idle, at most SETTLE_SECONDS: it may work on after its answers."""
        deadline = time.monotonic() + SETTLE_SECONDS
        try:
            while time.monotonic() < deadline:
                before = self.cpu_seconds()
                time.sleep(QUIET_SECONDS)
                if self.cpu_seconds() - before < QUIET_CORES * QUIET_SECONDS:
                    return
        except psutil.Error:
            return


def wait_until_ready(process: Peer, path: str) -> Peer:
    """The peer, once `path` answers with 200 and it is idle. Stops it and raises RuntimeError otherwise."""
    try:
        process.wait_for(path, START_SECONDS)
        with process.awake():
            pass  # leaving `awake` waits until its background work is done
    except BaseException:
        process.stop()
        raise
    return process


def make_home(folder: Path, name: str) -> Path:
    """An empty home directory for one peer."""
    home = folder / name
    home.mkdir(parents=True)
    return home
