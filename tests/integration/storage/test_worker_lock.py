"""Who is alive: told by locks on files."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from app.errors import StorageUnavailable
from app.storage.sqlite.worker_lock import WorkerLock
from tests.integration.storage.programs import ROOT


@pytest.fixture
def owner(tmp_path):
    owner = WorkerLock(tmp_path)
    yield owner
    owner.close()


def another(tmp_path, what: str) -> subprocess.Popen[str]:
    program = f"""
import sys, os
from pathlib import Path
from app.storage.sqlite.worker_lock import WorkerLock
owner = WorkerLock(Path(sys.argv[1]))
print(owner.id, flush=True)
{what}
"""
    return subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_building_takes_nothing(tmp_path):
    WorkerLock(tmp_path).close()
    assert list(tmp_path.iterdir()) == []


def test_an_owner_is_alive_for_itself_and_for_others(owner, tmp_path):
    assert owner.is_alive(owner.id)
    assert WorkerLock(tmp_path).is_alive(owner.id)


def test_an_owner_that_closed_or_never_was_is_dead(owner, tmp_path):
    other = WorkerLock(tmp_path)
    name = other.id
    other.close()
    assert not owner.is_alive(name)
    assert not owner.is_alive("00000000-0000-0000-0000-000000000000")


def test_a_killed_process_is_dead_and_its_file_goes(owner, tmp_path):
    process = another(tmp_path, "sys.stdin.readline()")
    name = process.stdout.readline().strip()
    file = tmp_path / "owners" / f"{name}.lock"
    assert owner.is_alive(name)
    assert file.exists()
    process.kill()
    process.communicate()
    assert not owner.is_alive(name)
    assert not file.exists()


def test_stale_files_are_removed_and_live_ones_stay(owner, tmp_path):
    dead = another(tmp_path, "os._exit(0)")
    dead.communicate()
    living = another(tmp_path, "sys.stdin.readline()")
    name = living.stdout.readline().strip()
    assert owner.id
    assert owner.remove_stale() == 1
    assert {path.stem for path in (tmp_path / "owners").iterdir()} == {owner.id, name}
    living.communicate("\n")


def test_after_a_fork_the_child_is_somebody_else(owner, tmp_path):
    program = """
parent = owner.id
child = os.fork()
if child == 0:
    print(owner.id != parent, owner.is_alive(parent), flush=True)
    os._exit(0)
os.waitpid(child, 0)
print(owner.id == parent, WorkerLock(Path(sys.argv[1])).is_alive(parent))
"""
    lines = another(tmp_path, program).communicate()[0].splitlines()
    assert lines[1:] == ["True True", "True True"]


def test_a_directory_that_cannot_be_is_the_operators_business(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageUnavailable):
        assert WorkerLock(tmp_path / "file").id


def test_names_are_not_process_ids(owner):
    assert str(os.getpid()) != owner.id
    assert len(owner.id) == 36
