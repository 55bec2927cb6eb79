"""Which workers are alive, as locks on files show."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from app.errors import StorageUnavailable
from app.storage.sqlite.worker_lock import WorkerLock
from tests.integration.storage.programs import ROOT


@pytest.fixture
def worker(tmp_path):
    worker = WorkerLock(tmp_path)
    yield worker
    worker.close()


def another(tmp_path, what: str) -> subprocess.Popen[str]:
    program = f"""
import sys, os
from pathlib import Path
from app.storage.sqlite.worker_lock import WorkerLock
worker = WorkerLock(Path(sys.argv[1]))
print(worker.id, flush=True)
{what}
"""
    return subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_building_creates_nothing(tmp_path):
    WorkerLock(tmp_path).close()
    assert list(tmp_path.iterdir()) == []


def test_a_worker_is_alive_for_itself_and_for_others(worker, tmp_path):
    assert worker.is_alive(worker.id)
    assert WorkerLock(tmp_path).is_alive(worker.id)


def test_a_worker_that_closed_or_never_existed_is_dead(worker, tmp_path):
    other = WorkerLock(tmp_path)
    name = other.id
    other.close()
    assert not worker.is_alive(name)
    assert not worker.is_alive("00000000-0000-0000-0000-000000000000")


def test_a_killed_process_is_dead_and_its_file_is_removed(worker, tmp_path):
    process = another(tmp_path, "sys.stdin.readline()")
    name = process.stdout.readline().strip()
    file = tmp_path / "owners" / f"{name}.lock"
    assert worker.is_alive(name)
    assert file.exists()
    process.kill()
    process.communicate()
    assert not worker.is_alive(name)
    assert not file.exists()


def test_stale_files_are_removed_and_live_ones_stay(worker, tmp_path):
    dead = another(tmp_path, "os._exit(0)")
    dead.communicate()
    living = another(tmp_path, "sys.stdin.readline()")
    name = living.stdout.readline().strip()
    assert worker.id
    assert worker.remove_stale() == 1
    assert {path.stem for path in (tmp_path / "owners").iterdir()} == {worker.id, name}
    living.communicate("\n")


def test_after_a_fork_the_child_has_another_name(worker, tmp_path):
    program = """
parent = worker.id
child = os.fork()
if child == 0:
    print(worker.id != parent, worker.is_alive(parent), flush=True)
    os._exit(0)
os.waitpid(child, 0)
print(worker.id == parent, WorkerLock(Path(sys.argv[1])).is_alive(parent))
"""
    lines = another(tmp_path, program).communicate()[0].splitlines()
    assert lines[1:] == ["True True", "True True"]


def test_a_directory_that_cannot_be_created_is_reported(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageUnavailable):
        assert WorkerLock(tmp_path / "file").id


def test_names_are_not_process_ids(worker):
    assert str(os.getpid()) != worker.id
    assert len(worker.id) == 36
