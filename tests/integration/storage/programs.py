"""Other processes on the same files: small programs with a store, patched by gevent like a worker or not."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[3]

PATCH = "from gevent import monkey; monkey.patch_all()\n"
START = """
import os, signal, sqlite3, sys, time
from app.errors import StorageUnavailable
from app.messages import Message
from app.sessions.store import SqlSessionStore
from app.storage.sqlite.database import SqliteDatabase
from app.storage.sqlite.worker_lock import WorkerLock
path = sys.argv[1]
database = SqliteDatabase(f"sqlite:///{path}")
store = SqlSessionStore(database, WorkerLock(database.directory))
"""


def start(program: str, path: Path, *args: str, patched: bool = False) -> subprocess.Popen[str]:
    """Run the program beside the test; it has `path`, `database` and `store`, and `sys.argv`."""
    text = (PATCH if patched else "") + START + textwrap.dedent(program)
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", text, str(path), *args],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def output(process: subprocess.Popen[str]) -> str:
    """What it printed, after it has ended without an error."""
    printed, complaints = process.communicate(timeout=60)
    assert process.returncode == 0, complaints
    return printed


def run(program: str, path: Path, *args: str, patched: bool = False) -> str:
    return output(start(program, path, *args, patched=patched))


HOLD_LOCK = """
raw = sqlite3.connect(path, isolation_level=None)
raw.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.readline() if sys.argv[2] == "ask" else time.sleep(float(sys.argv[2]))
raw.execute("COMMIT")
raw.close()
"""


def hold_lock(path: Path, until: str = "ask") -> subprocess.Popen[str]:
    """Another process that has the database locked for writing: for so many seconds, or until it reads a
    line.
    """
    process = start(HOLD_LOCK, path, until)
    assert process.stdout is not None
    assert process.stdout.readline() == "locked\n"
    return process
