"""The smaller sections: session, storage, redis, logging, tools."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from app.config.settings import LoggingSettings, SessionSettings
from app.config.tool_settings import ExecSettings, ToolSettings

if TYPE_CHECKING:
    from tests.unit.config.conftest import Operator


def test_every_key_of_session(operator: Operator):
    settings = operator.load(
        """{session: {mainKey: ' Home ', queue: {mode: 'reject', cap: 0},
            maintenance: {pruneAfter: '7d', maxEntries: 10, mode: 'enforce'},
            scope: 'per-sender', dmScope: 'main'}}"""
    )
    assert settings.session == SessionSettings("home", "reject", 0, 7 * 86400.0, 10)


def test_the_defaults_of_session(operator: Operator):
    session = operator.load("{}").session
    assert (session.main_key, session.queue_mode, session.queue_cap) == ("main", "wait", 20)
    assert (session.prune_after_seconds, session.max_entries) == (30 * 86400, 5000)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("'30d'", 2_592_000),
        ("'1h'", 3600),
        ("'15m'", 900),
        ("'10s'", 10),
        ("'500ms'", 0.5),
        ("'1h30m'", 5400),
        ("'1 H 30 M'", 5400),
        ("'0.5h'", 1800),
        ("1500", 1.5),
    ],
)
def test_durations(operator: Operator, written: str, seconds: float):
    settings = operator.load("{session: {maintenance: {pruneAfter: " + written + "}}}")
    assert settings.session.prune_after_seconds == seconds


@pytest.mark.parametrize(
    "written", ["'30'", "'30 years'", "''", "'-1d'", "0", "-5", "true", "[]", "'0d'", "'1d x'"]
)
def test_what_is_no_duration(operator: Operator, written: str):
    [problem] = operator.problems("{session: {maintenance: {pruneAfter: " + written + "}}}")
    assert ": session.maintenance.pruneAfter: must be " in problem


@pytest.mark.parametrize(
    ("text", "environ", "url"),
    [
        ("{}", {"OPENCLAW_STATE_DIR": "/state"}, "sqlite:////state/gateway.sqlite"),
        ("{storage: {url: 'sqlite:////x/y.sqlite'}}", {}, "sqlite:////x/y.sqlite"),
        ("{storage: {url: 'postgres://u:p@h/d'}}", {}, "postgresql+psycopg://u:p@h/d"),
        ("{storage: {url: 'postgresql://u:p@h/d'}}", {}, "postgresql+psycopg://u:p@h/d"),
        ("{storage: {url: 'sqlite:////x'}}", {"DATABASE_URL": "postgres://h/d"}, "postgresql+psycopg://h/d"),
        ("{storage: {url: 'sqlite:////x'}}", {"DATABASE_URL": ""}, "sqlite:////x"),
        (
            "{}",
            {"DATABASE_URL": "postgres://h/d", "DYNO": "web.1"},
            "postgresql+psycopg://h/d?sslmode=require",
        ),
        (
            "{}",
            {"DATABASE_URL": "postgres://h/d?connect_timeout=3", "DYNO": "web.1"},
            "postgresql+psycopg://h/d?connect_timeout=3&sslmode=require",
        ),
        (
            "{}",
            {"DATABASE_URL": "postgres://h/d?sslmode=disable", "DYNO": "web.1"},
            "postgresql+psycopg://h/d?sslmode=disable",
        ),
        ("{storage: {url: 'sqlite:////x'}}", {"DYNO": "web.1"}, "sqlite:////x"),
    ],
)
def test_where_sessions_are_stored(operator: Operator, text: str, environ: dict[str, str], url: str):
    assert operator.load(text, **environ).storage_url == url


def test_a_tilde_in_the_storage_url_is_the_home(operator: Operator):
    settings = operator.load("{storage: {url: 'sqlite:///~/x.sqlite'}}")
    assert settings.storage_url == f"sqlite:///{operator.home}/x.sqlite"


@pytest.mark.parametrize(
    ("text", "environ", "url"),
    [
        ("{}", {}, None),
        ("{redis: {url: 'redis://a:6379/0'}}", {}, "redis://a:6379/0"),
        ("{redis: {url: 'redis://a'}}", {"REDIS_URL": "rediss://:p@b"}, "rediss://:p@b"),
    ],
)
def test_redis(operator: Operator, text: str, environ: dict[str, str], url: str | None):
    assert operator.load(text, **environ).redis_url == url


@pytest.mark.parametrize(
    ("name", "key", "hint"),
    [("DATABASE_URL", "storage.url", "`sqlite:///`"), ("REDIS_URL", "redis.url", "`redis://`")],
)
def test_a_wrong_url_is_reported_without_its_secret(operator: Operator, name: str, key: str, hint: str):
    wrong = "mysql://user:canary-secret@h/d"
    [from_environ] = operator.problems("{}", **{name: wrong})
    [from_file] = operator.problems("{" + key.removesuffix(".url") + ": {url: '" + wrong + "'}}")
    assert from_environ.startswith(f"environment: {name}: must begin with {hint}")
    assert f": {key}: must begin with {hint}" in from_file
    assert "canary" not in from_environ + from_file


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{}", LoggingSettings("info", None)),
        ("{level: 'warn', format: 'json'}", LoggingSettings("warning", "json")),
        ("{level: 'trace', consoleStyle: 'pretty'}", LoggingSettings("debug")),
        ("{level: 'error', format: 'text'}", LoggingSettings("error", "text")),
    ],
)
def test_logging(operator: Operator, text: str, expected: LoggingSettings):
    assert operator.load("{logging: " + text + "}").logging == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{}", {}),
        ("{profile: 'full', deny: ['exec'], exec: {}}", {"profile": "full", "deny": ("exec",)}),
        ("{alsoAllow: ['web']}", {"also_allow": ("web",)}),
        ("{exec: {mode: 'auto', backgroundMs: 500}}", {"exec": ExecSettings("ask", background_seconds=0.5)}),
        ("{exec: {security: 'full'}}", {"exec": ExecSettings(security="full")}),
    ],
)
def test_tools(operator: Operator, text: str, expected: dict[str, Any]):
    assert operator.load("{tools: " + text + "}").tools == ToolSettings(**expected)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("{gatewy: {}}", "`gatewy` is not a key of the configuration; did you mean `gateway`?"),
        ("{chanels: {}}", "did you mean `channels`?"),
        ("{agent: {}}", "did you mean `agents`?"),
        ("{xyzzy: {}}", "`xyzzy` is not a key of the configuration"),
        ("{'two words': {}}", '`"two words"` is not a key of the configuration'),
        ("{session: {mainkey: 'x'}}", "did you mean `mainKey`?"),
        ("{session: {mainKey: ' '}}", "must not be blank"),
        ("{session: {queue: {mode: 'collect'}}}", 'must be "wait" or "reject"'),
        ("{logging: {level: 'infos'}}", "did you mean `info`?"),
        ("{agents: {defaults: {systemPrompt: '\\ud800'}}}", "half of a surrogate pair"),
        ("{models: {providers: {'\\ud800': {}}}}", "not valid text"),
    ],
)
def test_a_mistake_is_reported(operator: Operator, text: str, what: str):
    assert what in " ".join(operator.problems(text))
