"""How many sub-agents one message may lead to."""

from __future__ import annotations

import pytest

from app.control import families
from app.control.families import MAX_STARTED, Families
from app.tools.base import ToolError


def test_all_that_follows_from_a_message_counts():
    """A run that a sub-agent's result has led to is of the same family, and so are that run's sub-agents."""
    found = Families()
    assert found.of("asked") == "asked"
    found.join("child", "asked")
    found.join("announced", found.of("child"))
    for run_id in ("asked", "child", "announced"):
        for _ in range(MAX_STARTED // 4):
            found.grow(found.of(run_id))
    for _ in range(MAX_STARTED - 3 * (MAX_STARTED // 4)):
        found.grow("asked")
    for run_id in ("asked", "child", "announced"):
        with pytest.raises(ToolError, match="since somebody wrote last"):
            found.grow(found.of(run_id))
    found.grow("another")
    found.leave("child")
    assert found.of("child") == "child"


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(families, "MAX_REMEMBERED", 3)
    found = Families()
    for number in range(10):
        found.grow(str(number))
    assert len(found._started) == 3
