from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from app.config.loader import load_settings
from app.config.schema.fields import REDACTED
from app.config.settings import Settings
from app.config.shown.redact import SecretsOf, redact
from app.config.shown.secrets import redact_url

if TYPE_CHECKING:
    from tests.unit.config.conftest import Operator

EVERY_SECRET = """{
  env: {vars: {SOME_KEY: 'canary-env-vars'}, OTHER_KEY: 'canary-env'},
  gateway: {
    auth: {mode: 'token', token: 'canary-token', password: 'canary-password'},
    remote: {url: 'ws://far', token: 'canary-remote-token', password: 'canary-remote-password'},
  },
  agents: {defaults: {systemPrompt: 'The token is ${OPENCLAW_GATEWAY_TOKEN} or canary-token.'}},
  models: {providers: {
    corp: {baseUrl: 'http://corp', apiKey: 'canary-key', headers: {'X-Key': 'canary-header'}},
    env: {baseUrl: 'http://env', apiKey: '${SOME_KEY}'},
  }},
  storage: {url: 'postgresql://user:canary-db@host/db?sslpassword=canary-ssl'},
  redis: {url: 'redis://:canary-redis@host/0'},
  channels: {telegram: {botToken: 'canary-bot'}},
  hooks: {token: 'canary-hook'},
}"""
ENVIRON = {"OPENCLAW_GATEWAY_TOKEN": "canary-token", "GROQ_API_KEY": "canary-groq"}


def test_no_secret_is_ever_shown(operator: Operator):
    settings = operator.load(EVERY_SECRET, **ENVIRON)
    shown = redact(settings)
    assert "canary" not in json.dumps(shown)
    assert "canary" not in repr(replace(settings, agents=()))
    assert shown["gateway"]["auth"] == {"mode": "token", "token": REDACTED, "password": REDACTED}
    assert shown["gateway"]["remote"]["token"] == REDACTED
    assert shown["models"]["providers"]["corp"]["apiKey"] == REDACTED
    assert shown["models"]["providers"]["corp"]["headers"] == {"x-key": REDACTED}
    assert shown["models"]["providers"]["groq"]["apiKey"] == REDACTED
    assert shown["storage"]["url"] == f"postgresql+psycopg://user:{REDACTED}@host/db?sslpassword={REDACTED}"
    assert shown["redis"]["url"] == f"redis://:{REDACTED}@host/0"
    assert shown["agents"]["list"][0]["systemPrompt"] == f"The token is {REDACTED} or {REDACTED}."


def test_no_mistake_repeats_a_secret(operator: Operator):
    broken = EVERY_SECRET.replace("mode: 'token'", "mode: 'canary-mode'").replace(
        "'http://corp'", "'canary://x'"
    )
    problems = operator.problems(broken.replace("postgresql://", "canary://"), **ENVIRON)
    assert len(problems) == 3
    assert "canary" not in " ".join(problems)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:////state/x.sqlite", "sqlite:////state/x.sqlite"),
        ("postgresql://u@h/d", "postgresql://u@h/d"),
        ("postgresql://u:p@h/d", f"postgresql://u:{REDACTED}@h/d"),
        ("postgresql://u:p/w@x@h/d", f"postgresql://u:{REDACTED}@h/d"),
        ("redis://h?password=x&db=1", f"redis://h?password={REDACTED}&db=1"),
    ],
)
def test_urls(url: str, shown: str):
    assert redact_url(url) == shown


def test_what_is_shown_is_a_configuration_that_means_the_same(operator: Operator):
    first = operator.load(
        """{gateway: {bind: 'lan', http: {endpoints: {chatCompletions: {enabled: true},
              responses: {enabled: true}}, cors: {origins: ['https://a.example']}}, metrics: {public: true},
              allowedHosts: ['a.example'],
              auth: {rateLimit: {windowMs: 500}}},
            agents: {defaults: {params: {max_tokens: 5, stop: ['a']}}, list: [{id: 'a', name: 'A',
              model: {primary: 'corp/m', fallbacks: ['builtin/echo']}, identity: {name: 'x'},
              tools: {alsoAllow: ['x']}}, {id: 'b', default: true}]},
            models: {providers: {corp: {baseUrl: 'http://corp', timeouts: {idleMs: 250},
              models: [{id: 'm', cost: {input: 0.5}, compat: {x: [1]}}]},
              s: {api: 'scripted', scripts: {a: [{text: 'x'}, {finish: 'stop'}]}}}},
            session: {maintenance: {pruneAfter: '90s'}, queue: {cap: 3}}, logging: {format: 'json'},
            tools: {deny: ['x']}}"""
    )
    second = operator.load(json.dumps(redact(first)))
    for part in ("gateway", "agents", "providers", "session", "storage_url", "logging", "tools"):
        assert getattr(second, part) == getattr(first, part), part


def test_the_secrets_are_worked_out_once_for_each_settings(tmp_path: Path):
    known = SecretsOf()
    first = with_token(tmp_path, "a-first-token-0123456789")
    assert known(first) == {"a-first-token-0123456789"}
    assert known(first) is known(first)
    assert known(with_token(tmp_path, "a-second-token-0123456789")) == {"a-second-token-0123456789"}


def with_token(folder: Path, token: str) -> Settings:
    (folder / "openclaw.json").write_text(
        json.dumps({"gateway": {"auth": {"mode": "token", "token": token}}})
    )
    return load_settings({"HOME": str(folder), "OPENCLAW_CONFIG_PATH": str(folder / "openclaw.json")}, folder)
