"""The processes that are measured: each with an environment of its own, measured as a tree, stopped by id."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
MIB = 1024 * 1024
START_SECONDS = 120
WRAPPER: list[str] = []  # put before each command, such as valgrind
STOP_SECONDS = 40
POLL_SECONDS = 0.005


def free_port() -> int:
    """A loopback port that nothing listened on just now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def clean_environment(**extra: str) -> dict[str, str]:
    """What a program needs to run, and nothing that configures a gateway, a provider or a proxy."""
    kept = ("PATH", "LANG", "LC_ALL", "VIRTUAL_ENV", "TMPDIR", "LD_LIBRARY_PATH")
    return {**{name: os.environ[name] for name in kept if name in os.environ}, **extra}


@dataclass(frozen=True, slots=True)
class Memory:
    """MiB. `worker` is the resident size (RSS) of the serving process, `tree` the proportional size (PSS) of
    all processes together, in which a page that two share counts half for each.
    """

    worker: float
    tree: float


class Process:
    """A server on a loopback port. Its output goes to a file in `folder`."""

    def __init__(
        self,
        name: str,
        command: list[str],
        port: int,
        folder: Path,
        environment: dict[str, str],
        cwd: Path = ROOT,
    ) -> None:
        self.name = name
        self.port = port
        self.log = folder / f"{name}.log"
        self.started_at = time.perf_counter()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*WRAPPER, *command],
                cwd=cwd,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def worker(self) -> int:
        """The id of the process that serves, which is not the master if there is one."""
        tree = self._tree()
        return tree[min(1, len(tree) - 1)].pid

    def wait_for(self, path: str, seconds: float = START_SECONDS) -> float:
        """Waits for the first 200 of `path`; the seconds since the command. Raises RuntimeError."""
        request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode()
        deadline = self.started_at + seconds
        while time.perf_counter() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"{self.name} ended while starting:\n{self.log.read_text()[-3000:]}")
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=5) as sock:
                    sock.sendall(request)
                    if b" 200 " in sock.recv(4096).partition(b"\r\n")[0] + b" ":
                        return time.perf_counter() - self.started_at
            except OSError:
                pass
            time.sleep(POLL_SECONDS)
        raise RuntimeError(f"{self.name} did not start:\n{self.log.read_text()[-3000:]}")

    def cpu_seconds(self) -> float:
        """CPU time of the whole tree so far, the kernel's work for it included."""
        total = 0.0
        for process in self._tree():
            try:
                times = process.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += times.user + times.system + times.children_user + times.children_system
        return total

    def memory(self) -> Memory:
        tree = [process.memory_full_info() for process in self._tree()]
        return Memory(max(one.rss for one in tree) / MIB, sum(one.pss for one in tree) / MIB)

    def worker_memory(self) -> Memory:
        """Of a server with a master: its worker's resident size, and the tree's."""
        return Memory(psutil.Process(self.worker).memory_info().rss / MIB, self.memory().tree)

    def stop(self) -> None:
        if self._process.poll() is not None:
            return
        tree = self._tree()
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            for process in tree:
                if process.is_running():
                    process.kill()
            self._process.wait()

    def _tree(self) -> list[psutil.Process]:
        master = psutil.Process(self._process.pid)
        return [master, *master.children(recursive=True)]


def gunicorn(*arguments: str) -> list[str]:
    """The command that runs this environment's gunicorn."""
    return [sys.executable, "-m", "gunicorn", *arguments]


def allow_many_files() -> None:
    """Raises the limit of open files to the most that this process may have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
