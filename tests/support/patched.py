"""Programs in a process that gevent has patched, as gunicorn's worker is."""

from __future__ import annotations

import subprocess
import sys
import textwrap


def patched(program: str) -> str:
    """What a program prints in a process where greenlets take the place of threads."""
    start = "from gevent import monkey; monkey.patch_all()\nimport time, threading, gevent\n"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", start + textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout
