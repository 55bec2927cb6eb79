"""`python -m app sessions …` against a real gateway."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_sessions_http import call, get, keys, say, texts
from tests.support.gateway import GatewayProcess


def run(gateway: GatewayProcess, *words: str, code: int = 0, stdin: str = "") -> str:
    done = gateway.command("sessions", *words, stdin=stdin)
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


def test_one_is_shown(gateway: GatewayProcess) -> None:
    say(gateway, "What is it?", "a/b notes")
    facts = dict(line.split("\t") for line in run(gateway, "show", "a/b notes").splitlines())
    assert (facts["session"], facts["begins"]) == ("agent:main:a/b notes", "What is it?")
    assert json.loads(run(gateway, "show", "a/b notes", "--json"))["key"] == "agent:main:a/b notes"
    assert "There is no session" in run(gateway, "show", "nothing", code=2)
    assert run(gateway, "list", "--limit", "1").startswith("agent:main:a/b notes\t")


def test_one_is_copied_emptied_and_deleted(gateway: GatewayProcess) -> None:
    say(gateway, "one", "notes")
    say(gateway, "two", "notes")
    fork = run(gateway, "fork", "notes").strip()
    first = get(gateway, "/notes/history")["messages"][1]["id"]
    part = json.loads(run(gateway, "fork", "notes", "--message", first, "--json"))["key"]
    assert texts(get(gateway, f"/{fork}/history")) == ["one", "echo: one", "two", "echo: two"]
    assert texts(get(gateway, f"/{part}/history")) == ["one", "echo: one"]
    assert run(gateway, "reset", "notes") == "agent:main:notes\n"
    assert get(gateway, "/notes")["messageCount"] == 0
    assert run(gateway, "delete", "notes") == "agent:main:notes\n"
    assert "There is no session" in run(gateway, "delete", "notes", code=2)
    assert "no message" in run(gateway, "fork", fork, "--message", "0", code=2)


def test_files(gateway: GatewayProcess, tmp_path: Path) -> None:
    say(gateway, "one ü", "a/b notes")
    file = tmp_path / "notes.jsonl"
    assert run(gateway, "export", "a/b notes", "-o", str(file)) == ""
    assert file.read_bytes() == call(gateway, "GET", "/a%2Fb%20notes/export").body or file.stat().st_size
    assert run(gateway, "import", str(file), "--key", "copy").strip() == "agent:main:copy"
    assert texts(get(gateway, "/copy/history")) == ["one ü", "echo: one ü"]
    given: Any = json.loads(run(gateway, "import", "-", "--json", stdin=run(gateway, "export", "copy")))
    assert given["messages"] == 2
    assert given["key"] in keys(get(gateway, ""))
    assert run(gateway, "export", "copy", "--format", "markdown").startswith("# ")


@pytest.mark.parametrize(
    ("words", "code", "says_so"),
    [
        (("export", "nothing"), 2, "There is no session"),
        (("export", "copy", "--token", "wrong"), 78, "Unauthorized"),
        (("export", "copy", "--url", "ws://127.0.0.1:1"), 75, "cannot be reached"),
        (("import", "/nowhere/file"), 2, "No such file"),
        (("import", "/dev/null"), 2, "empty"),
    ],
)
def test_what_goes_wrong(gateway: GatewayProcess, words: tuple[str, ...], code: int, says_so: str) -> None:
    assert says_so in run(gateway, *words, code=code)


def test_an_unfinished_import_leaves_nothing(gateway: GatewayProcess) -> None:
    say(gateway, "one", "notes")
    whole = run(gateway, "export", "notes")
    refused = run(gateway, "import", "-", "--key", "copy", code=2, stdin=whole.rpartition('{"type":"end"')[0])
    assert "not complete" in refused
    assert keys(get(gateway, "")) == ["agent:main:notes"]
