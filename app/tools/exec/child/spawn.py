"""Starts a command: its own session, its output in one pipe or terminal, its limits set."""

from __future__ import annotations

import errno
import os
import resource
import signal
import termios
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from app.tools.exec.child.control_groups import MAX_TASKS
from app.tools.exec.child.processes import threads_of_the_system

NICENESS = 5  # the gateway, which answers others meanwhile, has priority
OOM_SCORE = 500  # when memory runs out, commands end before the gateway does
MAX_FILE_BYTES = 8 * 1024**3


class Spawned:
    """The process, and our ends of its output and input. `input` None: it has none, or it is closed."""

    def __init__(self, pid: int, output: int, input_: int | None, is_terminal: bool) -> None:
        self.pid, self.output, self.input = pid, output, input_
        self._is_terminal = is_terminal
        self._status: int | None = None

    def poll(self) -> int | None:
        """Its wait status, once it has ended. Takes leave of orphans on the way."""
        with suppress(ChildProcessError):
            while self._status is None:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    break
                if pid == self.pid:
                    self._status = status
        return self._status

    def write(self, data: bytearray) -> bytearray:
        """Write what it takes; the rest."""
        if self.input is None:
            return bytearray()
        while data:
            try:
                del data[: os.write(self.input, data)]
            except BlockingIOError:
                return data
            except OSError:  # it has closed its input
                return bytearray()
        return data

    def end_input(self) -> None:
        if self.input is None:
            return
        if self._is_terminal:
            with suppress(OSError):
                os.write(self.input, b"\x04")  # Ctrl-D
        else:
            os.close(self.input)
        self.input = None


def spawn(request: dict[str, Any], prepare: Callable[[], object]) -> Spawned:
    """`prepare` is called in the new process. Raises OSError: there is no such program or folder."""
    input_: int | None
    with_terminal, with_input = bool(request["pty"]), bool(request["input"])
    if with_terminal:
        ours, theirs = os.openpty()
        output, input_, stdin = ours, ours, theirs
    else:
        output, theirs = os.pipe2(os.O_CLOEXEC)
        stdin, input_ = os.pipe2(os.O_CLOEXEC) if with_input else (os.open(os.devnull, os.O_RDONLY), None)
    failure, report = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        prepare()
        _become(request, stdin, theirs, report)
    for fd in {stdin, theirs, report}:
        os.close(fd)
    with open(failure, "rb") as pipe:
        reason = pipe.read()
    if reason:
        os.waitpid(pid, 0)
        number, _, name = reason.decode().partition(" ")
        raise OSError(int(number), os.strerror(int(number)), name)
    for fd in {output, *([] if input_ is None else [input_])}:
        os.set_blocking(fd, False)
    os.chdir(request["cwd"])  # for the guard of its disk
    return Spawned(pid, output, input_, with_terminal)


def _become(request: dict[str, Any], stdin: int, output: int, report: int) -> None:
    """In the new process: become the command. Does not return."""
    name = request["cwd"]
    try:
        if request["pty"]:
            os.login_tty(output)
            termios.tcsetwinsize(0, (24, 120))
        else:
            os.setsid()
            os.dup2(stdin, 0)
            os.dup2(output, 1)
            os.dup2(output, 2)
        _enter(request["cwd"])
        _limit()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        name = request["argv"][0]
        os.execve(name, request["argv"], request["env"])  # noqa: S606 - the gate let it pass
    except OSError as error:
        os.write(report, f"{error.errno} {name}".encode())
    finally:
        os._exit(127)


def _enter(folder: str) -> None:
    """Raises OSError, also if it is another folder than the one that was looked at: a link is there now."""
    os.chdir(folder)
    if os.getcwd() != folder:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), folder)


def be_nice(niceness: int) -> None:
    """Let others go first. Where sessions are scheduled as groups (sched(7)), the group's niceness counts."""
    with suppress(OSError):
        os.nice(niceness)
    with suppress(OSError), open("/proc/self/autogroup", "w") as group:
        group.write(str(os.nice(0)))


def _limit() -> None:
    be_nice(NICENESS)
    with suppress(OSError), open("/proc/self/oom_score_adj", "r+") as score:
        if int(score.read()) < OOM_SCORE:
            score.write(str(OOM_SCORE))
    # Of all processes of the user, so what there is already comes on top. The kernel spares root.
    tasks = threads_of_the_system() + MAX_TASKS
    bounds = (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, MAX_FILE_BYTES),
        (resource.RLIMIT_NPROC, tasks),
    )
    for limit, wanted in bounds:
        _, hard = resource.getrlimit(limit)
        with suppress(OSError, ValueError):
            most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
            resource.setrlimit(limit, (most, most))
