"""`python -m app config check` and `config show`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from app.cli.config import add_arguments
from app.cli.exit_codes import EXIT_CONFIG
from app.config.schema.fields import REDACTED


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("PORT", "DATABASE_URL", "REDIS_URL", "OLLAMA_HOST", "OPENCLAW_HOME", "OPENCLAW_STATE_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("OPENCLAW_GATEWAY_TOKEN", "a-token-0123456789")
    monkeypatch.setenv("OPENCLAW_CONFIG_PATH", str(tmp_path / "openclaw.json"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "openclaw.json"


def run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    args = parser.parse_args(words)
    code: int = args.run(args)
    return code


def test_check_says_ok_and_the_notes(file: Path, capsys: pytest.CaptureFixture[str]):
    file.write_text("{channels: {}}")
    assert run("check") == 0
    assert capsys.readouterr().out == f"ok: {file}\nnote: not used here, sections: channels\n"


def test_check_without_a_file(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("OPENCLAW_CONFIG_PATH")
    assert run("check") == 0
    assert capsys.readouterr().out.startswith("ok: built-in defaults\n")


def test_check_prints_every_mistake_on_standard_error(file: Path, capsys: pytest.CaptureFixture[str]):
    file.write_text("{gateway: {port: 0}, nonsense: 1}")
    assert run("check") == EXIT_CONFIG == 78
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.splitlines() == [
        f"{file}: 2 mistakes in the configuration",
        f"  {file}:1:12: gateway.port: must be a whole number from 1 to 65535",
        f"  {file}:1:22: nonsense: `nonsense` is not a key of the configuration",
    ]


def test_check_as_json(file: Path, capsys: pytest.CaptureFixture[str]):
    file.write_text("{}")
    assert run("check", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"ok": True, "file": str(file), "notes": []}
    file.write_text("{nonsense: 1}")
    assert run("check", "--json") == 78
    answer = json.loads(capsys.readouterr().out)
    assert (answer["ok"], len(answer["problems"])) == (False, 1)


@pytest.mark.parametrize("words", [("show",), ("show", "--json")])
def test_show_prints_the_configuration_without_secrets(
    file: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
):
    file.write_text("{gateway: {auth: {token: 'canary-token'}}}")
    assert run(*words) == 0
    out = capsys.readouterr().out
    assert "canary" not in out
    shown = json.loads(out)
    assert shown["gateway"]["auth"]["token"] == REDACTED
    assert shown["gateway"]["port"] == 18789


def test_show_refuses_a_broken_file(file: Path, capsys: pytest.CaptureFixture[str]):
    file.write_text("{")
    assert run("show") == 78
    assert str(file) in capsys.readouterr().err
