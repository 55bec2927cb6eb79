"""The server's own log: its access line is off, so none is made up."""

from __future__ import annotations

import subprocess
import sys

from gunicorn.config import Config

from app.runtime import ServerLog
from tests.support.gateway import ROOT, TOKEN, clean_environment


def test_no_access_line_is_made_up(monkeypatch):
    def atoms(*_: object) -> None:
        raise AssertionError("somebody asks what would be in the line")

    monkeypatch.setattr(ServerLog, "atoms", atoms)
    config = Config()
    config.set("logconfig_dict", {"version": 1})
    log = object.__new__(ServerLog)  # making one would set up the logging of the whole process
    log.cfg = config
    assert log.access_log_enabled  # gunicorn's own would ask
    log.access(None, None, {}, None)


def test_the_server_uses_it(tmp_path):
    environment = clean_environment(
        HOME=str(tmp_path), OPENCLAW_STATE_DIR=str(tmp_path), OPENCLAW_GATEWAY_TOKEN=TOKEN
    )
    command = [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", "--print-config", "wsgi:app"]
    shown = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    (line,) = (line for line in shown.stdout.splitlines() if line.startswith("logger_class"))
    assert "ServerLog" in line
