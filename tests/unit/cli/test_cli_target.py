"""Which gateway a command talks to, and with which secret."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from app.cli.errors import WrongUse
from app.cli.options import add_target_options
from app.cli.target import Target, find_target, normal_url

ENV_TOKEN = {"OPENCLAW_GATEWAY_TOKEN": "env-token"}


@pytest.fixture
def find(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "openclaw.json"

    def find(*words: str, config: Any = None, **environ: str) -> Target:
        file.write_text(config if isinstance(config, str) else json.dumps({"gateway": config or {}}))
        parser = argparse.ArgumentParser()
        add_target_options(parser)
        basics = {"HOME": str(tmp_path), "OPENCLAW_CONFIG_PATH": str(file)}
        return find_target(parser.parse_args(words), {**basics, **environ})

    return find


REMOTE = {"mode": "remote", "remote": {"url": "wss://far.example.com/gw", "token": "far-token"}}


def test_the_default_address_is_this_machine(find: Any):
    assert find().url == "ws://127.0.0.1:18789/"
    assert find(config={"port": 4000}).url == "ws://127.0.0.1:4000/"
    assert find(config={"port": 4000, "bind": "lan"}).url == "ws://127.0.0.1:4000/"
    assert find(config={"bind": "custom", "customBindHost": "127.0.0.7"}).url == "ws://127.0.0.7:18789/"
    assert find(config={"bind": "custom", "customBindHost": "::1"}).url == "ws://[::1]:18789/"
    assert find(OPENCLAW_GATEWAY_PORT="4001").url == "ws://127.0.0.1:4001/"


def test_an_option_takes_precedence_over_the_environment_and_that_over_the_configuration(find: Any):
    assert find(config=REMOTE).url == "wss://far.example.com/gw"
    named = {"OPENCLAW_GATEWAY_URL": "ws://env.example.com"}
    assert find(config=REMOTE, **named).url == "ws://env.example.com/"
    assert find("--url", "ws://option.example.com", config=REMOTE, **named).url == "ws://option.example.com/"
    assert find(CLAWDBOT_GATEWAY_URL="ws://older.example.com").url == "ws://older.example.com/"


def test_the_remote_is_used_in_remote_mode_only(find: Any):
    assert find(config={**REMOTE, "mode": "local"}).url == "ws://127.0.0.1:18789/"


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("ws://h", "ws://h/"),
        ("http://h:80", "ws://h:80/"),
        ("https://h/base", "wss://h/base"),
        ("  wss://h/#token=x ", "wss://h/"),
        ("http://[::1]:9/?token=x", "ws://[::1]:9/"),
    ],
)
def test_addresses(text: str, url: str):
    assert normal_url(text) == url


@pytest.mark.parametrize(
    "text", ["h", "127.0.0.1:18789", "ftp://h", "ws://", "ws://me:secret@h", "ws://h:99999"]
)
def test_invalid_addresses(text: str):
    with pytest.raises(WrongUse) as caught:
        normal_url(text)
    assert "address" in caught.value.message


@pytest.mark.parametrize(
    ("words", "config", "environ", "auth"),
    [
        ((), {}, {}, {}),
        ((), {"auth": {"token": "file"}}, {}, {"token": "file"}),
        ((), {"auth": {"token": "file"}}, ENV_TOKEN, {"token": "env-token"}),
        ((), {"auth": {"password": "file"}}, ENV_TOKEN, {"token": "env-token", "password": "file"}),
        (("--token", "mine"), {"auth": {"token": "file"}}, ENV_TOKEN, {"token": "mine"}),
        (("--password", "mine"), {"auth": {"token": "file"}}, ENV_TOKEN, {"password": "mine"}),
        ((), REMOTE, {}, {"token": "far-token"}),
        ((), REMOTE, ENV_TOKEN, {"token": "far-token"}),
        (("--url", "https://far.example.com/gw"), REMOTE, {}, {"token": "far-token"}),
    ],
)
def test_secrets(
    find: Any, words: tuple[str, ...], config: Any, environ: dict[str, str], auth: dict[str, str]
):
    assert find(*words, config=config, **environ).auth == auth


def test_the_configurations_secrets_are_sent_only_to_the_gateways_it_names(find: Any):
    config = {**REMOTE, "auth": {"token": "file"}}
    assert find(config=config).auth == {"token": "far-token"}
    assert find("--url", "ws://other.example.com", config=config).auth == {}
    assert find("--url", "ws://127.0.0.1:1", config=config).auth == {}
    assert find("--url", "ws://localhost:18789", config=config).auth == {"token": "file"}


def test_the_source_of_a_secret_is_known(find: Any):
    file = {"auth": {"password": "file"}}
    assert find("--token", "x").source == "the command's options"
    assert find(config=file).source == "the configuration (gateway.auth)"
    assert find(config=file, **ENV_TOKEN).source == "the environment and the configuration (gateway.auth)"
    assert find(config=REMOTE).source == "the configuration (gateway.remote)"


def test_the_secret_is_not_in_the_representation(find: Any):
    assert "mine" not in repr(find("--token", "mine"))


def test_with_address_and_secret_the_configuration_is_not_read(find: Any):
    target = find("--url", "ws://h", "--token", "mine", config="{ nonsense")
    assert target.auth == {"token": "mine"}
