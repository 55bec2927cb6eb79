"""Commands and their keepers, without a gateway: how they start, end, and are ended."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.cancel import Cancel
from app.errors import RunAborted
from app.tools.base import ToolError
from app.tools.exec.command import Command, CommandLine
from app.tools.exec.commands import Commands
from app.tools.exec.environment import MARK
from tests.support.patched import patched
from tests.support.provider import wait_until

PATIENCE = 30.0


@pytest.fixture
def commands(tmp_path: Path) -> Iterator[Commands]:
    found = Commands(lambda: tmp_path / "state")
    yield found
    found.close()
    assert found.running == 0 or wait_until(lambda: found.running == 0, PATIENCE, "the end") is None
    assert [*(tmp_path / "state" / "exec").glob("*")] == []


@pytest.fixture
def start(commands: Commands, tmp_path: Path) -> Callable[..., Command]:
    def start(command: str, seconds: float = 60.0, **more: Any) -> Command:
        env = {"PATH": os.environ["PATH"], MARK: commands.new_mark()}
        line = CommandLine(
            argv=["/bin/sh", "-c", command], shown=command, workdir=tmp_path, env=env, seconds=seconds, **more
        )
        return commands.start(line)

    return start


def end_of(command: Command) -> tuple[int | None, int | None, str]:
    command.wait(lambda: False, PATIENCE)
    assert command.ended is not None
    return command.ended.code, command.ended.signal, command.ended.reason


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def first_line(command: Command) -> str:
    command.wait(lambda: "\n" in command.output.kept, PATIENCE)
    return command.output.kept.split("\n")[0]


def test_how_commands_end(start: Callable[..., Command]):
    assert end_of(start("exit 4")) == (4, None, "exit")
    assert end_of(start("kill -15 $$")) == (None, 15, "exit")
    assert end_of(start("sleep 60", seconds=0.2)) == (None, 15, "timeout")
    running = start("sleep 60")
    running.end("kill")
    assert end_of(running) == (None, 15, "kill")


def test_what_cannot_be_started_is_said(commands: Commands, tmp_path: Path):
    for line, what in (
        (CommandLine(argv=["/no/such"], shown="", workdir=tmp_path, env={}, seconds=1), "No such file"),
        (CommandLine(argv=["/bin/sh"], shown="", workdir=tmp_path / "no", env={}, seconds=1), "No such file"),
        (
            CommandLine(argv=["/etc/passwd"], shown="", workdir=tmp_path, env={}, seconds=1),
            "Permission denied",
        ),
    ):
        with pytest.raises(ToolError, match=what):
            commands.start(line)


def test_a_wait_is_cancelled_at_once(start: Callable[..., Command]):
    command, cancel = start("sleep 60"), Cancel()
    threading.Timer(0.1, lambda: cancel.cancel(RunAborted("Stop."))).start()
    started = time.monotonic()
    with pytest.raises(RunAborted):
        command.wait(lambda: False, PATIENCE, cancel)
    assert time.monotonic() - started < PATIENCE / 2
    assert command.ended is None


def test_a_command_has_no_descriptors_but_its_own(start: Callable[..., Command]):
    command = start("ls -l /proc/self/fd | grep -c -- '->'")
    end_of(command)
    assert command.output.kept.strip() == "4"  # and the folder that ls reads


def test_a_command_whose_keeper_is_killed_is_ended_by_its_mark(start: Callable[..., Command]):
    command = start("echo $$; exec sleep 600")
    shell = int(first_line(command))
    keeper = int(Path(f"/proc/{shell}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(keeper, signal.SIGKILL)
    assert end_of(command)[2] == "lost"
    wait_until(lambda: not is_alive(shell), PATIENCE, "the end of what the keeper left")


def test_another_server_is_started_when_the_first_has_died(commands: Commands, start: Callable[..., Command]):
    assert end_of(start("exit 1"))[0] == 1
    assert commands._server is not None
    commands._server.kill()
    commands._server.wait()
    assert end_of(start("exit 2"))[0] == 2


def test_orphans_are_taken_leave_of_while_the_command_goes_on(start: Callable[..., Command]):
    command = start("for i in 1 2 3 4 5; do (true & true); (setsid true &); done; echo ready; exec sleep 600")
    assert first_line(command) == "ready"
    keeper = int(Path(f"/proc/{command.pid}/stat").read_text().rpartition(")")[2].split()[1])

    def zombies() -> int:
        found = 0
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                state, parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
            except OSError:
                continue
            found += state == "Z" and int(parent) == keeper
        return found

    wait_until(lambda: zombies() == 0, PATIENCE, "the end of zombies")
    command.end("kill")


def test_input_is_bounded_and_refused_where_there_is_none(start: Callable[..., Command]):
    command = start("sleep 600")
    with pytest.raises(ToolError, match="no open input"):
        command.write(b"x")
    command.end("kill")
    end_of(command)
    command = start("wc -c", with_input=True)
    with pytest.raises(ToolError, match="At most"):
        command.write(b"x" * 1_000_000)
    command.write(b"x" * 200_000)
    command.write(b"y", eof=True)
    assert end_of(command)[0] == 0
    assert command.output.kept.strip() == "200001"
    with pytest.raises(ToolError, match="has ended"):
        command.write(b"x")


def test_only_so_many_run_at_a_time(
    commands: Commands, start: Callable[..., Command], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("app.tools.exec.commands.MAX_RUNNING", 2)
    for _ in range(2):
        start("sleep 600")
    with pytest.raises(ToolError, match="as many as may"):
        start("true")


def test_commands_of_other_gateways_are_let_be(tmp_path: Path):
    mine, other = (Commands(lambda name=name: tmp_path / name) for name in ("mine", "other"))
    try:
        line = {"argv": ["/bin/sleep", "600"], "shown": "", "workdir": tmp_path, "seconds": 60.0}
        kept = other.start(CommandLine(env={MARK: other.new_mark()}, **line))  # type: ignore[arg-type]
        mine.new_mark()
        (tmp_path / "mine" / "exec" / "0123.lock").touch()
        mine.end_leftovers()
        assert not (tmp_path / "mine" / "exec" / "0123.lock").exists()
        mine._kill_marked([kept.line.env[MARK][:-3]])  # the beginning of a mark is another one
        assert is_alive(kept.pid)
    finally:
        mine.close()
        other.close()
    assert not is_alive(kept.pid)


@pytest.mark.slow
def test_processes_that_only_fork_are_ended(start: Callable[..., Command]):
    """At most 2,048, which sleep: a bomb without an end would take everybody's machine."""
    bomb = (
        "import os, time\nfor _ in range(11):\n  try:\n    os.fork(); os.setsid()\n  except OSError: pass\n"
    )
    bomb += "time.sleep(60)"
    command = start(f"{sys.executable} -S -c '{bomb}'")
    assert end_of(command)[2] == "processes"


def test_one_server_starts_all_commands_also_for_greenlets():
    assert patched(PROGRAM) == "8 commands, 1 server\n"


PROGRAM = """
    import os, tempfile
    from pathlib import Path
    from app.tools.exec.command import CommandLine
    from app.tools.exec.commands import Commands

    folder, servers, ended = Path(tempfile.mkdtemp()), set(), []
    commands = Commands(lambda: folder)

    def work():
        argv = ["/bin/sh", "-c", "seq 1 200000; sleep 0.2"]
        line = CommandLine(argv=argv, shown="", workdir=folder, env={}, seconds=30)
        command = commands.start(line)
        servers.add(commands._server.pid)
        command.wait(lambda: False, 30)
        ended.append(command.ended.code == 0 and command.output.tail(7) == "200000\\n")

    gevent.joinall([gevent.spawn(work) for _ in range(4)])
    gevent.joinall([gevent.spawn(work) for _ in range(4)])
    print(f"{sum(ended)} commands, {len(servers)} server")
    commands.close()
"""


def test_floods_do_not_keep_the_event_loop():
    """In CPU time, so that a busy machine does not count."""
    slowest, sizes = patched(FLOODS).split(" ", 1)
    assert float(slowest) < 0.02
    assert sizes == "16 of 16 bounded\n"


FLOODS = """
    import os, tempfile, greenlet
    from pathlib import Path
    from app.tools.exec.command import CommandLine
    from app.tools.exec.commands import Commands

    folder, ended, slices, since = Path(tempfile.mkdtemp()), [], [0.0], [0.0]
    commands = Commands(lambda: folder)

    def work(number):
        floods = ("yes", "head -c 3000000 /dev/zero | tr '\\\\0' x", "seq 1 1000000")
        argv = ["/bin/sh", "-c", floods[number % 3]]
        command = commands.start(CommandLine(argv=argv, shown="", workdir=folder, env={}, seconds=2))
        command.wait(lambda: False, 50)
        ended.append(len(command.output.kept) <= 200_000 and len(command.output.text(30_000)) < 31_000)

    def trace(*_):
        now = time.thread_time()
        slices.append(now - since[0])
        since[0] = now

    work(2)  # starts the process that starts the others
    ended.clear()
    since[0] = time.thread_time()
    greenlet.settrace(trace)
    gevent.joinall([gevent.spawn(work, number) for number in range(16)])
    greenlet.settrace(None)
    print(max(slices), f"{sum(ended)} of {len(ended)} bounded")
    commands.close()
"""
