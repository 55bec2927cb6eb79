"""The random token of a gateway whose operator has set none."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from app.config.source.token_file import NAME, make_token, read_token

if TYPE_CHECKING:
    from tests.unit.config.conftest import Operator


def test_it_is_made_once_for_its_owner_alone(tmp_path: Path):
    state = tmp_path / "state"
    assert read_token(state) is None
    token = make_token(state)
    assert len(token) >= 32
    assert make_token(state) == read_token(state) == token
    assert stat.S_IMODE((state / NAME).stat().st_mode) == 0o600
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert [file.name for file in state.iterdir()] == [NAME]
    assert make_token(tmp_path / "other") != token


def test_one_that_others_could_read_becomes_the_owners(tmp_path: Path):
    (tmp_path / NAME).write_text("the-token-of-somebody\n")
    (tmp_path / NAME).chmod(0o644)
    assert make_token(tmp_path) == "the-token-of-somebody"
    assert stat.S_IMODE((tmp_path / NAME).stat().st_mode) == 0o600


def test_a_blank_one_is_made_again(tmp_path: Path):
    (tmp_path / NAME).write_text(" \n")
    assert read_token(tmp_path) is None
    assert make_token(tmp_path) == read_token(tmp_path) != ""


def test_two_that_start_at_once_have_the_same(tmp_path: Path):
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda _: make_token(tmp_path), range(32)))) == 1


@pytest.mark.parametrize(
    ("text", "environ", "mode", "is_used"),
    [
        ("{}", {}, "token", True),
        ("{gateway: {auth: {token: 'of-the-file'}}}", {}, "token", False),
        ("{gateway: {auth: {password: 'of-the-file'}}}", {}, "password", False),
        ("{}", {"OPENCLAW_GATEWAY_TOKEN": "of-the-environment"}, "token", False),
        ("{}", {"CLAWDBOT_GATEWAY_PASSWORD": "of-the-environment"}, "password", False),
        ("{gateway: {auth: {mode: 'none'}}}", {}, "none", True),
    ],
)
def test_it_counts_where_no_other_secret_is_set(
    operator: Operator, text: str, environ: dict[str, str], mode: str, is_used: bool
):
    token = make_token(operator.home / ".openclaw")
    auth = operator.load(text, **environ).gateway.auth
    assert auth.mode == mode
    assert (auth.token == token) is is_used
