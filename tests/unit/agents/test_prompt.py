"""The system prompt: what comes first, and what is left out."""

from __future__ import annotations

import pytest

from app.agents.prompt import build_system_prompt


@pytest.mark.parametrize(
    ("own", "files", "instructions", "prompt"),
    [
        (None, [], None, None),
        ("", [], "", None),
        (" \n", [("SOUL.md", " \n")], "\t", None),
        ("You are main.", [], None, "You are main."),
        ("\nYou are main.\n", [], None, "You are main."),
        (None, [("SOUL.md", "\nBe kind.\n\n")], None, "# SOUL.md\n\nBe kind."),
        (None, [], "Be brief.", "Be brief."),
        (None, [], "  as it stands \n", "  as it stands \n"),
        (
            "You are main.",
            [("AGENTS.md", "Rules."), ("SOUL.md", ""), ("USER.md", "Ann.")],
            "Be brief.",
            "You are main.\n\n# AGENTS.md\n\nRules.\n\n# USER.md\n\nAnn.\n\nBe brief.",
        ),
    ],
)
def test_own_words_then_files_then_the_requests(
    own: str | None, files: list[tuple[str, str]], instructions: str | None, prompt: str | None
):
    assert build_system_prompt(own, files, instructions) == prompt
