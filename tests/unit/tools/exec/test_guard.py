"""What a command is ended for, to keep the machine going."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest

from app.tools.exec.child import guard
from app.tools.exec.child.guard import MIN_FREE_BYTES, Guard


class Machine:
    """How many threads, processes of the command and free bytes there are."""

    threads, processes, free = 100, 1, 100 * MIN_FREE_BYTES


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    found = Machine()
    monkeypatch.setattr(guard, "threads_of_the_system", lambda: found.threads)
    monkeypatch.setattr(guard, "descendants", lambda _root: range(found.processes))
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_bavail=found.free, f_frsize=1))
    return found


def looks(found: Guard) -> set[str]:
    """What it says within a second."""
    return {said for _ in range(6) if (said := found.look()) is not None}


def test_too_many_processes(machine: Machine):
    found = Guard(1)
    machine.threads, machine.processes = 1000, 100  # somebody else's
    assert looks(found) == set()
    machine.processes = 600
    assert looks(found) == {"processes"}


def test_the_last_of_the_disk(machine: Machine):
    found = Guard(1)
    machine.free = 2 * MIN_FREE_BYTES
    assert looks(found) == set()
    machine.free = MIN_FREE_BYTES // 2
    assert looks(found) == {"disk"}


def test_a_disk_that_was_full_before_is_not_the_commands_doing(machine: Machine):
    machine.free = MIN_FREE_BYTES // 2
    found = Guard(1)
    assert looks(found) == set()
    machine.free -= 1024
    assert looks(found) == set()
    machine.free = 0
    assert looks(found) == {"disk"}
