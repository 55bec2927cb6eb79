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


START_POSTGRES = """
import os, signal, sys, time
from app.errors import StorageUnavailable
from app.messages import Message
from app.sessions.store import SqlSessionStore
from app.storage.postgres.worker_lease import build
database, worker = build(sys.argv[1])
store = SqlSessionStore(database, worker)
"""


def start(program: str, path: Path, *args: str, patched: bool = False) -> subprocess.Popen[str]:
    """Run the program beside the test; it has `path`, `database` and `store`, and `sys.argv`."""
    return _start(START + textwrap.dedent(program), str(path), *args, patched=patched)


def start_postgres(program: str, url: str, *args: str, patched: bool = False) -> subprocess.Popen[str]:
    """The same with the PostgreSQL database of `url`, and its `worker`."""
    return _start(START_POSTGRES + textwrap.dedent(program), url, *args, patched=patched)


def _start(text: str, *args: str, patched: bool) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", (PATCH if patched else "") + text, *args],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def output(process: subprocess.Popen[str]) -> str:
    """What it printed, after it has ended without an error."""
    printed, complaints = process.communicate(timeout=100)
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
