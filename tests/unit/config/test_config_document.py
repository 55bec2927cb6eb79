"""The page and the examples that a reader begins with."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from app.config.shown.document import document

if TYPE_CHECKING:
    from tests.unit.config.conftest import Operator

ROOT = Path(__file__).parents[3]


def test_the_page_is_what_the_schema_says():
    written = (ROOT / "docs" / "config.md").read_text("utf-8")
    assert written == document() + "\n", "run: python -m app.config.shown.document > docs/config.md"


def test_every_row_has_a_type_and_a_meaning():
    rows = [line for line in document().splitlines() if re.match(r"\| `[a-z]+[.\[]", line)]
    assert len(rows) > 90
    for row in rows:
        _, _, kind, _, doc, _ = re.split(r" ?(?<!\\)\| ?", row)
        assert kind
        assert doc.endswith(".")


@pytest.mark.parametrize(
    ("key", "default"),
    [
        ("gateway.port", "`18789`"),
        ("gateway.http.endpoints.chatCompletions.maxBodyBytes", "`20971520`"),
        ("gateway.http.endpoints.chatCompletions.images.timeoutMs", "`10000`"),
        ("session.maintenance.pruneAfter", '`"30d"`'),
        ("agents.defaults.maxTurns", "`50`"),
        ("models.providers.<name>.timeouts.firstTokenMs", "`120000`"),
    ],
)
def test_defaults_are_in_the_files_own_units(key: str, default: str):
    [row] = [line for line in document().splitlines() if line.startswith(f"| `{key}` |")]
    assert f" | {default} | " in row


@pytest.mark.parametrize("name", ["quickstart.json5", "openclaw.json5"])
def test_the_examples_load(operator: Operator, name: str):
    settings = operator.load(
        OPENCLAW_CONFIG_PATH=str(ROOT / "examples" / name), OPENCLAW_GATEWAY_TOKEN="a-token"
    )
    assert settings.notes == ()
    assert settings.gateway.chat_completions.enabled
    assert settings.gateway.is_loopback
    assert settings.gateway.auth.token == "a-token"
    assert settings.default_agent.id == "main"
    assert settings.default_agent.model is None
    assert settings.default_agent.system_prompt


def test_the_quickstart_needs_its_token(operator: Operator):
    problems = operator.problems(OPENCLAW_CONFIG_PATH=str(ROOT / "examples" / "quickstart.json5"))
    assert "OPENCLAW_GATEWAY_TOKEN is not set" in problems[0]
