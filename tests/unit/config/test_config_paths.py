from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from app.config.source.paths import find_paths

if TYPE_CHECKING:
    from tests.unit.config.conftest import Operator

GOOD = "{gateway: {port: %d}}"


def test_without_any_file_the_defaults_hold(operator: Operator):
    settings = operator.load()
    assert settings.config_path is None
    assert settings.state_dir == operator.home / ".openclaw"
    assert settings.gateway.port == 18789
    assert any("built-in defaults" in note for note in settings.notes)


def test_the_named_file_wins(operator: Operator):
    operator.write(GOOD % 1001)
    named = operator.write(GOOD % 1002, "other.json")
    assert operator.load(OPENCLAW_CONFIG_PATH=str(named)).gateway.port == 1002


def test_a_tilde_in_the_named_file_is_the_home(operator: Operator):
    operator.write(GOOD % 1003, "other.json")
    assert operator.load(OPENCLAW_CONFIG_PATH="~/.openclaw/other.json").gateway.port == 1003


def test_a_named_file_has_to_exist(operator: Operator):
    missing = operator.home / "no.json"
    assert operator.problems(OPENCLAW_CONFIG_PATH=str(missing)) == [
        f"{missing}: cannot read {missing}: No such file or directory"
    ]


def test_the_state_directory_holds_the_file(operator: Operator):
    operator.write(GOOD % 1004, operator.home / "state" / "openclaw.json")
    settings = operator.load(OPENCLAW_STATE_DIR="~/state", CLAWDBOT_STATE_DIR="~/nowhere")
    assert settings.gateway.port == 1004
    assert settings.storage_url == f"sqlite:///{operator.home}/state/gateway.sqlite"


@pytest.mark.parametrize("home", ["~/svc", "/svc"])
def test_openclaw_home_moves_the_home(operator: Operator, home: str):
    assert str(operator.load(OPENCLAW_HOME=home).state_dir).endswith("/svc/.openclaw")


def test_the_older_names_are_read_where_the_newer_are_not_there(operator: Operator):
    operator.write(GOOD % 1005, operator.home / ".clawdbot" / "clawdbot.json")
    assert operator.load().gateway.port == 1005
    older = operator.write(GOOD % 1006, operator.home / "older.json")
    assert operator.load(CLAWDBOT_CONFIG_PATH=str(older)).gateway.port == 1006
    operator.write(GOOD % 1007)
    assert operator.load(CLAWDBOT_CONFIG_PATH=str(older)).gateway.port == 1007


def test_an_older_named_file_has_to_exist_too(operator: Operator):
    assert "cannot read" in operator.problems(CLAWDBOT_CONFIG_PATH="~/gone.json")[0]


def test_files_that_were_looked_for_are_sources_even_if_they_do_not_exist(operator: Operator):
    settings = operator.load()
    assert operator.file in settings.sources
    assert operator.cwd / ".env" in settings.sources
    assert operator.file.parent / ".env" in settings.sources


@pytest.mark.parametrize("state_dir", ["/dev/null/x", "x" * 5000])
def test_a_state_directory_that_cannot_be_looked_into_holds_no_file(operator: Operator, state_dir: str):
    assert operator.load(OPENCLAW_STATE_DIR=state_dir).config_path is None


@pytest.mark.parametrize("path", ["/dev/null/x", "x" * 5000, "/dev", "/dev/null"])
def test_a_configured_path_that_is_not_a_file_is_reported(operator: Operator, path: str):
    assert "cannot read" in operator.problems(OPENCLAW_CONFIG_PATH=path)[0]


def test_a_user_whom_the_system_does_not_know_has_the_root_as_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def unknown(_uid: int) -> None:
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.setattr("pwd.getpwuid", unknown)
    monkeypatch.delenv("HOME")
    assert find_paths({}, tmp_path).state_dir == Path("/.openclaw")
    moved = {"OPENCLAW_STATE_DIR": "/data"}
    assert find_paths(moved, tmp_path).state_dir == Path("/data")
