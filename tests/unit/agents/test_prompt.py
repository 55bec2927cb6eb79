"""The system prompt: what comes first, and what is left out."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from app.agents.prompt import PromptFacts, build_system_prompt
from app.config.agent_settings import AgentSettings, SystemPromptSettings

NOW = datetime(2026, 11, 27, 9, 30, tzinfo=UTC)


def facts(own: SystemPromptSettings, files: list[tuple[str, str]]) -> PromptFacts:
    return PromptFacts(agent=AgentSettings("main", system_prompt=own), tools=(), files=files, now=NOW)


@pytest.mark.parametrize(
    ("own", "files", "instructions", "prompt"),
    [
        ("", [], None, None),
        ("", [], "", None),
        (" \n", [("SOUL.md", " \n")], "\t", None),
        ("You are main.", [], None, "You are main."),
        ("\nYou are main.\n", [], None, "You are main."),
        ("", [("SOUL.md", "\nBe kind.\n\n")], None, "# SOUL.md\n\nBe kind."),
        ("", [], "Be brief.", "Be brief."),
        (
            "You are main.",
            [("AGENTS.md", "Rules."), ("SOUL.md", ""), ("USER.md", "Ann.")],
            "Be brief.",
            "You are main.\n\n# AGENTS.md\n\nRules.\n\n# USER.md\n\nAnn.\n\nBe brief.",
        ),
    ],
)
def test_own_words_then_files_then_the_requests(
    own: str, files: list[tuple[str, str]], instructions: str | None, prompt: str | None
):
    replacing = SystemPromptSettings(own, "replace")
    assert build_system_prompt(facts(replacing, files), instructions) == prompt
