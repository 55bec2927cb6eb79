"""What a command imports: only what it needs, so that it starts quickly."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from app.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parents[3]
SERVER = ("flask", "sqlalchemy", "gevent", "app.bootstrap", "app.gateway", "app.runs", "app.ws")
# What gevent has to patch before it is used; `orjson` imports none of them.
PATCHED = ("ssl", "socket", "threading")
PROGRAM = """
import json, sys
from app.cli.main import main

before_local = []
try:
    main(sys.argv[1:], lambda: before_local.extend(sys.modules))
except SystemExit:
    pass
print()
print(json.dumps({"modules": list(sys.modules), "before_local": before_local}))
"""


def modules(folder: Path, *words: str) -> dict[str, set[str]]:
    """The modules that are imported by a command, and of those the ones before a local run."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words],
        cwd=ROOT,
        env={"HOME": str(folder), "OPENCLAW_CONFIG_PATH": str(folder / "openclaw.json")},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found: dict[str, list[str]] = json.loads(done.stdout.splitlines()[-1])
    return {name: set(names) for name, names in found.items()}


@pytest.mark.parametrize("words", [("--version",), ("--help",), ()])
def test_without_a_command_next_to_nothing_is_imported(tmp_path: Path, words: tuple[str, ...]):
    found = modules(tmp_path, *words)["modules"]
    unwanted = {
        *SERVER,
        "marshmallow",
        "wsproto",
        "orjson",
        *PATCHED,
        *(f"app.cli.{one}" for one in COMMANDS),
    }
    assert found & unwanted == set()


@pytest.mark.parametrize(
    "words", [("health",), ("status",), ("sessions",), ("logs",), ("call", "health"), ("agent", "-m", "hi")]
)
def test_a_command_that_asks_a_gateway_does_not_import_one(tmp_path: Path, words: tuple[str, ...]):
    found = modules(tmp_path, *words, "--url", "ws://127.0.0.1:1", "--token", "x")["modules"]
    assert "app.client.client" in found
    assert found & set(SERVER) == set()
    others = {f"app.cli.{name}" for name in COMMANDS} - {f"app.cli.{words[0]}"}
    assert found & others == set()


def test_a_local_run_can_be_prepared_before_it_imports_anything(tmp_path: Path):
    (tmp_path / "openclaw.json").write_text("{}")
    found = modules(tmp_path, "agent", "--local", "-m", "hi", "--agent", "nobody")
    assert "app.bootstrap" in found["modules"]
    assert "app.cli.agent" in found["before_local"]
    assert found["before_local"] & {*SERVER, *PATCHED} == set()
