"""The client is used by programs that are not the gateway, so it imports next to nothing of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
ALLOWED = {"app", "app.clock", "app.errors", "app.ids"}
PROGRAM = """
import json, sys
import app.client.client, app.client.handshake
print(json.dumps([name for name in sys.modules if name.partition(".")[0] in ("app", "argparse", "gevent")]))
"""


def test_the_client_imports_little_of_ours_and_nothing_of_a_command_line():
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    found = {name for name in json.loads(done.stdout) if not name.startswith("app.client")}
    assert found <= ALLOWED
