"""What a start refuses is refused everywhere: by `config check`, by a reload, by a client's change of the
configuration, and whatever address the server's command line names.
"""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.e2e.conftest import StartGateway
from tests.support.gateway import TOKEN, GatewayProcess, config_for, free_port
from tests.support.operator import operator
from tests.support.provider import ScriptedProvider, wait_until

START_SECONDS = 30
EX_CONFIG = 78
NONE = {"auth": {"mode": "none"}}


def changed(provider: ScriptedProvider, gateway: dict[str, Any], **sections: Any) -> dict[str, Any]:
    config = config_for(provider.url)
    config["gateway"] = {**config["gateway"], **gateway}
    return {**config, **sections}


BROKEN: list[Any] = [
    ("no-token", {"auth": {"mode": "token"}}, {}, {}, "OPENCLAW_GATEWAY_TOKEN"),
    ("no-password", {"auth": {"mode": "password", "token": TOKEN}}, {}, {}, "OPENCLAW_GATEWAY_PASSWORD"),
    ("an-unset-token", {"auth": {"token": "${NOT_SET}"}}, {}, {}, "NOT_SET is not set"),
    ("a-literal", {"auth": {"token": "$${OPENCLAW_GATEWAY_TOKEN}"}, "bind": "lan"}, {}, {}, "placeholder"),
    ("a-name", {"auth": {"token": "$OPENCLAW_GATEWAY_TOKEN"}, "bind": "lan"}, {}, {}, "placeholder"),
    ("short", {"auth": {"token": "short"}, "bind": "lan"}, {}, {}, "fewer than 16 characters"),
    ("none-on-lan", {**NONE, "bind": "lan"}, {}, {}, "may only listen on loopback"),
    ("none-on-port", NONE, {}, {"PORT": "{port}"}, "may only listen on loopback"),
    (
        "none-on-a-name",
        {**NONE, "bind": "custom", "customBindHost": "127.evil.example"},
        {},
        {},
        "only listen on loopback",
    ),
    ("not-ours", {"bind": "custom", "customBindHost": "192.0.2.1"}, {}, {}, "cannot listen on 192.0.2.1"),
    ("no-such-name", {"bind": "custom", "customBindHost": "nowhere.invalid"}, {}, {}, "nowhere.invalid"),
    (
        "a-proxy-unnamed",
        {"auth": {"mode": "trusted-proxy", "trustedProxy": {"userHeader": "x-user"}}},
        {},
        {},
        "gateway.trustedProxies",
    ),
    (
        "a-proxy-undescribed",
        {"auth": {"mode": "trusted-proxy"}, "trustedProxies": ["10.0.0.1"]},
        {},
        {},
        "trustedProxy",
    ),
    (
        "an-unknown-fallback",
        {},
        {"agents": {"list": [{"id": "main", "model": {"primary": "test/t", "fallbacks": ["nope/x"]}}]}},
        {},
        "`nope/x`",
    ),
    ("postgres", {}, {"storage": {"url": "postgresql://localhost"}}, {}, "names no database"),
    ("postgres-in-env", {}, {}, {"DATABASE_URL": "postgres://u:canary%@h/x"}, "names no PostgreSQL database"),
    ("postgres-option", {}, {}, {"DATABASE_URL": "postgres://u:canary@h/x?colour=1"}, "know: colour"),
    ("memory", {}, {"storage": {"url": "sqlite:///:memory:"}}, {}, "SQLite file"),
    ("no-file", {}, {"storage": {"url": "sqlite:///"}}, {}, "SQLite file"),
    ("two-slashes", {}, {"storage": {"url": "sqlite://data/x.sqlite"}}, {}, "SQLite file"),
    ("a-port", {}, {}, {"PORT": "eighty"}, "PORT"),
    ("redis-database", {}, {"redis": {"url": "redis://:canary@h/first"}}, {}, "number of a database"),
    (
        "redis-in-env",
        {},
        {},
        {"REDIS_URL": "redis://:canary@:6379"},
        "REDIS_URL) names no host",
    ),
    ("redis-option", {}, {}, {"REDIS_URL": "redis://h?pass=canary"}, "not supported"),
    ("two-workers", {}, {}, {"WEB_CONCURRENCY": "2"}, "Missing: DATABASE_URL"),
    (
        "two-workers-without-postgresql",
        {},
        {"redis": {"url": "redis://127.0.0.1"}},
        {"WEB_CONCURRENCY": "2", "DATABASE_URL": "sqlite:////tmp/x.sqlite"},
        "Missing: DATABASE_URL of a PostgreSQL database (or storage.url). Set WEB_CONCURRENCY=1",
    ),
]


@pytest.mark.parametrize("written", ["abc", "", " ", "1.5", "-1", "0"])
def test_config_check_refuses_a_worker_count_that_gunicorn_fails_on(
    tmp_path: Path, provider: ScriptedProvider, written: str
) -> None:
    """gunicorn reads it before anything of the gateway, so its own start can say nothing better."""
    gateway = GatewayProcess(tmp_path, config_for(provider.url), WEB_CONCURRENCY=written)
    assert gateway.spawn().wait(START_SECONDS) != 0
    checked = gateway.command("config", "check")
    assert checked.returncode == EX_CONFIG
    assert f"WEB_CONCURRENCY in the environment is {written!r}" in checked.stderr
    assert "Traceback" not in checked.stderr


@pytest.mark.parametrize(
    ("gateway", "sections", "environment", "why"),
    [pytest.param(*row[1:], id=row[0]) for row in BROKEN],
)
def test_config_check_refuses_what_the_start_refuses_and_in_the_same_words(
    tmp_path: Path,
    provider: ScriptedProvider,
    gateway: dict[str, Any],
    sections: dict[str, Any],
    environment: dict[str, str],
    why: str,
) -> None:
    given = {name: value.format(port=free_port()) for name, value in environment.items()}
    started = GatewayProcess(tmp_path, changed(provider, gateway, **sections), **given)
    assert started.spawn().wait(START_SECONDS) == EX_CONFIG, started.log
    checked = started.command("config", "check")
    assert checked.returncode == EX_CONFIG, checked.stdout
    assert why in checked.stderr
    assert checked.stderr.strip() in started.log
    assert "Traceback" not in started.log + checked.stderr
    assert "canary" not in started.log + checked.stderr


@pytest.mark.parametrize("name", ["gateway.auth.token", "models.providers.test.apiKey"])
def test_no_hint_proposes_the_name_of_a_variable_as_a_secret(
    tmp_path: Path, provider: ScriptedProvider, name: str
) -> None:
    config: dict[str, Any] = config_for(provider.url)
    *path, last = name.split(".")
    section = config
    for step in path:
        section = section[step]
    section[last] = "${NOT_SET}"
    checked = GatewayProcess(tmp_path, config).command("config", "check")
    assert "NOT_SET is not set" in checked.stderr
    assert "$${" not in checked.stderr


@pytest.mark.parametrize(
    ("change", "arguments"),
    [
        (NONE, ["-b", "0.0.0.0:{port}"]),
        (NONE, ["--bind", "127.0.0.1:{port}", "--bind", "[::]:{port}"]),
        (NONE, ["-b", "unix:{folder}/socket"]),
        ({"auth": {"token": "changeme"}}, ["-b", "0.0.0.0:{port}"]),
        ({"auth": {"token": "short"}}, ["-b", "0.0.0.0:{port}"]),
    ],
)
def test_the_address_on_the_command_line_counts(
    tmp_path: Path, provider: ScriptedProvider, change: dict[str, Any], arguments: list[str]
) -> None:
    gateway = GatewayProcess(tmp_path, changed(provider, change))
    given = [one.format(port=gateway.port, folder=tmp_path) for one in arguments]
    assert gateway.spawn(*given).wait(START_SECONDS) == EX_CONFIG, gateway.log
    assert "The gateway does not start" in gateway.log


def test_a_narrower_address_on_the_command_line_counts_too(
    tmp_path: Path, provider: ScriptedProvider
) -> None:
    gateway = GatewayProcess(tmp_path, changed(provider, {**NONE, "bind": "lan"}))
    process = gateway.spawn("-b", f"127.0.0.1:{gateway.port}")
    try:
        wait_until(lambda: process.poll() is not None or _is_alive(gateway), START_SECONDS, "gateway")
        assert process.poll() is None, gateway.log
    finally:
        process.terminate()
        assert process.wait(START_SECONDS) == 0


def test_without_its_own_server_configuration_it_does_not_serve(
    tmp_path: Path, provider: ScriptedProvider
) -> None:
    gateway = GatewayProcess(tmp_path, config_for(provider.url))
    nothing = tmp_path / "nothing.py"
    nothing.touch()
    process = gateway.spawn("-c", str(nothing), "-b", f"127.0.0.1:{gateway.port}")
    assert process.wait(START_SECONDS) != 0
    assert "start with -c gunicorn.conf.py" in gateway.log


def _is_alive(gateway: GatewayProcess) -> bool:
    try:
        return gateway.request("GET", "/health").status == 200
    except OSError:
        return False


def state(gateway: GatewayProcess) -> str:
    """`current` or `stale`."""
    found: str = gateway.request("GET", "/ready?verbose").json["config"]
    return found


UNFIT_ON_LAN = {
    "no-secret": {"auth": {"mode": "token"}},
    "none": NONE,
    "none-on-loopback": {**NONE, "bind": "loopback"},  # it stays bound to all interfaces
    "a-placeholder": {"auth": {"token": "changeme"}},
    "a-variable": {"auth": {"token": "$${OPENCLAW_GATEWAY_TOKEN}"}},
    "short": {"auth": {"token": "short"}, "bind": "loopback"},
}


@pytest.mark.parametrize("change", list(UNFIT_ON_LAN.values()), ids=list(UNFIT_ON_LAN))
def test_a_reload_refuses_what_the_start_refuses(
    start_gateway: StartGateway, provider: ScriptedProvider, change: dict[str, Any]
) -> None:
    gateway = start_gateway(changed(provider, {"bind": "lan"}))
    gateway.write_config(changed(provider, {"bind": "lan", **change}))
    wait_until(lambda: state(gateway) == "stale", 20, "refusal")
    assert "the last valid configuration stays in force" in gateway.log
    assert gateway.ask("hi").status == 200
    assert gateway.chat({}, token="wrong").status == 401
    gateway.write_config(changed(provider, {"bind": "lan"}, session={"queue": {"cap": 7}}))
    wait_until(lambda: state(gateway) == "current", 20, "reload")


def test_a_reload_counts_the_address_on_the_command_line(tmp_path: Path, provider: ScriptedProvider) -> None:
    gateway = GatewayProcess(tmp_path, config_for(provider.url), GUNICORN_CMD_ARGS="")
    gateway._environment["GUNICORN_CMD_ARGS"] = f"-b 0.0.0.0:{gateway.port}"
    gateway.start()
    try:
        gateway.write_config(changed(provider, NONE))
        wait_until(lambda: state(gateway) == "stale", 20, "refusal")
        assert gateway.chat({}, token="wrong").status == 401
    finally:
        gateway.stop()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (NONE, "may only listen on loopback"),
        ({**NONE, "bind": "loopback"}, "may only listen on loopback"),
        ({"auth": {"mode": "token", "token": None}}, "has no token"),
        ({"auth": {"token": "$${OPENCLAW_GATEWAY_TOKEN}"}}, "placeholder"),
        ({"bind": "custom", "customBindHost": "192.0.2.1"}, "cannot listen on 192.0.2.1"),
    ],
)
def test_clients_cannot_set_what_the_start_refuses(
    start_gateway: StartGateway, provider: ScriptedProvider, change: dict[str, Any], why: str
) -> None:
    gateway = start_gateway(changed(provider, {"bind": "lan"}))
    before = gateway.config_path.read_text()
    with operator(gateway) as client:
        found = client.call("config.get")
        raw = json.dumps({"gateway": change})
        refused = client.response(client.request("config.patch", {"raw": raw, "baseHash": found["hash"]}))
    assert not refused["ok"]
    assert why in refused["error"]["message"]
    assert gateway.config_path.read_text() == before


def test_a_signal_to_reload_keeps_the_last_valid_settings(
    start_gateway: StartGateway, provider: ScriptedProvider
) -> None:
    gateway = start_gateway()
    workers = _workers(gateway)
    gateway.write_config(changed(provider, {"auth": {"mode": "token"}}))
    os.kill(gateway.pid, signal.SIGHUP)
    wait_until(lambda: _workers(gateway).isdisjoint(workers) and bool(_workers(gateway)), 60, "other worker")
    wait_until(lambda: _is_alive(gateway) and state(gateway) == "stale", 60, "refusal")
    assert "The last valid configuration stays in force" in gateway.log
    assert gateway.ask("hi").status == 200


def test_a_worker_that_begins_with_a_spoilt_file_keeps_the_last_valid_settings(
    start_gateway: StartGateway, provider: ScriptedProvider
) -> None:
    gateway = start_gateway()
    gateway.config_path.write_text("{ gateway: ")
    for worker in _workers(gateway):
        os.kill(worker, signal.SIGKILL)
    wait_until(lambda: _is_alive(gateway) and state(gateway) == "stale", 60, "other worker")
    assert gateway.ask("hi").status == 200
    gateway.write_config(config_for(provider.url))
    wait_until(lambda: state(gateway) == "current", 20, "reload")


def _workers(gateway: GatewayProcess) -> set[int]:
    return {child.pid for child in psutil.Process(gateway.pid).children()}


MODES: list[dict[str, Any]] = [
    {"auth": {"mode": "token", "token": TOKEN}},
    {"auth": {"mode": "password", "password": TOKEN}},
    NONE,
]


@pytest.mark.parametrize("change", MODES, ids=["token", "password", "none"])
def test_a_loopback_gateway_answers_to_its_own_names_only(
    start_gateway: StartGateway, provider: ScriptedProvider, change: dict[str, Any]
) -> None:
    gateway = start_gateway(changed(provider, change))
    body = {"model": "openclaw", "messages": [{"role": "user", "content": "hi"}]}
    for host in ("127.0.0.1", "localhost", "LOCALHOST:80", "[::1]:18789", "127.9.9.9", "me.localhost"):
        assert gateway.chat(body, Host=host).status == 200, host
    for host in ("rebound.example", "127.0.0.1.rebound.example", "localhost.example", "0x7f.1", "a", ""):
        answer = gateway.chat(body, Host=host)
        assert (answer.status, answer.error["code"]) == (403, "host_not_allowed"), host
        assert "gateway.trustedProxies" in answer.error["message"]
        for path in ("/v1/models", "/metrics", "/nothing"):
            assert gateway.request("GET", path, headers={"Host": host}).status == 403
        upgrade = {"Host": host, "Upgrade": "websocket", "Connection": "Upgrade"}
        assert gateway.request("GET", "/", headers=upgrade).status == 403
        for path in ("/health", "/healthz", "/ready", "/readyz"):
            assert gateway.request("GET", path, headers={"Host": host}).status == 200, path
    assert len(provider.requests) == 6


@pytest.mark.parametrize("change", [{"trustedProxies": ["127.0.0.1"]}, {"bind": "lan"}])
def test_a_gateway_that_others_reach_may_have_any_name(
    start_gateway: StartGateway, provider: ScriptedProvider, change: dict[str, Any]
) -> None:
    gateway = start_gateway(changed(provider, change))
    body = {"model": "openclaw", "messages": [{"role": "user", "content": "hi"}]}
    assert gateway.chat(body, Host="gateway.example").status == 200
