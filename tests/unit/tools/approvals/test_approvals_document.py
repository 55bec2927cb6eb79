"""The approvals document: read, checked, layered, and written back as OpenClaw's clients know it."""

from __future__ import annotations

from typing import Any

import pytest

from app.errors import InvalidRequest
from app.tools.approvals.document import EMPTY, AllowlistEntry, dump_document, hash_of, load_document

FILE: dict[str, Any] = {
    "version": 1,
    "socket": {"path": "/x", "token": "canary"},
    "defaults": {"security": "full", "ask": "off", "askFallback": "deny", "autoAllowSkills": True},
    "agents": {
        "main": {
            "ask": "always",
            "allowlist": [
                {
                    "id": "1",
                    "pattern": "/usr/bin/git",
                    "argPattern": "^status",
                    "lastUsedAt": 1.5,
                    "other": 1,
                },
                {"pattern": "uname"},
            ],
            "mcpTools": [{"server": "docs", "tool": "search", "addedAt": 1}],
        },
        "*": {"security": "allowlist", "allowlist": [{"pattern": "date"}]},
    },
}


def test_it_is_read_and_written_back():
    document = load_document(FILE)
    dumped = dump_document(document)
    assert "socket" not in dumped
    assert dumped["defaults"] == FILE["defaults"]
    entries = dumped["agents"]["main"]["allowlist"]
    assert entries[0] == {"id": "1", "pattern": "/usr/bin/git", "argPattern": "^status", "lastUsedAt": 1.5}
    assert set(entries[1]) == {"id", "pattern"}
    assert dumped["agents"]["main"]["mcpTools"] == [{"server": "docs", "tool": "search", "addedAt": 1.0}]
    assert load_document(dumped) == document
    assert hash_of(load_document(dumped)) == hash_of(document)
    assert dump_document(EMPTY) == {"version": 1, "defaults": {}, "agents": {}}


def test_an_agents_own_words_come_before_those_of_all():
    document = load_document(FILE)
    main, other = document.policy("main"), document.policy("other")
    assert (main.security, main.ask, main.ask_fallback) == ("allowlist", "always", "deny")
    assert (other.security, other.ask) == ("allowlist", "off")
    assert [one.pattern for one in document.allowlist("main")] == ["/usr/bin/git", "uname", "date"]
    assert [one.pattern for one in document.allowlist("other")] == ["date"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"version": 2},
        {"defaults": {"security": "none"}},
        {"defaults": {"ask": "sometimes"}},
        {"defaults": {"askFallback": True}},
        {"agents": []},
        {"agents": {"main": {"allowlist": {}}}},
        {"agents": {"main": {"allowlist": [{}]}}},
        {"agents": {"main": {"allowlist": [{"pattern": " "}]}}},
        {"agents": {"main": {"allowlist": [{"pattern": 1}]}}},
        {"agents": {"main": {"allowlist": [{"pattern": "x" * 1025}]}}},
        {"agents": {"main": {"allowlist": [{"pattern": "x", "argPattern": "("}]}}},
        {"agents": {"main": {"allowlist": [{"pattern": "x", "argPattern": "x" * 1025}]}}},
        {"agents": {"main": {"allowlist": [{"pattern": "x"}] * 1001}}},
        {"agents": {str(number): {"allowlist": [{"pattern": "x" * 900}] * 100} for number in range(20)}},
        [],
        None,
        "x",
    ],
)
def test_what_is_wrong_is_refused(wrong: Any):
    with pytest.raises(InvalidRequest):
        load_document({"version": 1, **wrong} if isinstance(wrong, dict) else wrong)


def test_entries_are_added_and_taken_away():
    document = EMPTY.with_entry("main", AllowlistEntry(pattern="a")).with_entry(
        "b", AllowlistEntry(pattern="c")
    )
    (entry,) = document.allowlist("main")
    assert entry.id
    without = document.without_entry(entry.id)
    assert (list(without.allowlist("main")), len(without.allowlist("b"))) == ([], 1)
    assert hash_of(without) != hash_of(document)
