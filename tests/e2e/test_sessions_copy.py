"""`python -m app sessions copy`: a conversation moves from an SQLite file to PostgreSQL and back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateway import GatewayProcess, config_for
from tests.support.provider import ScriptedProvider, says
from tests.support.servers import PostgresServer

PASSWORD = "canary-password"


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    return postgres.new_database().replace("postgres@", f"postgres:{PASSWORD}@")


def asked(provider: ScriptedProvider) -> list[Any]:
    return [content for role, content in provider.messages() if role != "system"]


def test_a_conversation_moves_there_and_back(tmp_path: Path, provider: ScriptedProvider, url: str) -> None:
    provider.always(says("yes"))
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    first = GatewayProcess(tmp_path / "one", config_for(provider.url)).start()
    assert first.ask("one", user="ann").status == 200
    assert first.ask("alone", user="bob").status == 200
    assert first.stop() == 0
    file = f"sqlite:///{first.state}/gateway.sqlite"
    second = GatewayProcess(tmp_path / "two", config_for(provider.url), DATABASE_URL=url)
    moved = second.command("sessions", "copy", "--from", file)
    assert (moved.returncode, moved.stderr) == (0, "")
    assert moved.stdout == "copied: 2 sessions, 2 runs, 4 messages, 0 approvals\n"
    second.start()
    assert second.ask("two", user="ann").status == 200
    assert asked(provider) == ["one", "yes", "two"]
    assert second.stop() == 0
    again = second.command("sessions", "copy", "--from", file, "--json")
    assert again.returncode == 1
    (left,) = json.loads(again.stdout)["left"]
    assert "differs from the one there" in left["why"]
    back = first.command(
        "sessions", "copy", "--from", url, "--to", f"sqlite:///{tmp_path}/new.sqlite", "--json"
    )
    assert json.loads(back.stdout)["copied"] == {"sessions": 2, "runs": 3, "messages": 6, "approvals": 0}
    for done in (moved, again, back):
        assert PASSWORD not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr


def test_what_cannot_be_copied_is_refused_with_a_reason(
    tmp_path: Path, provider: ScriptedProvider, url: str
) -> None:
    provider.always(says("yes"))
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    one = GatewayProcess(tmp_path / "one", config_for(provider.url)).start()
    two = GatewayProcess(tmp_path / "two", config_for(provider.url), DATABASE_URL=url).start()
    for gateway in (one, two):
        assert gateway.ask("hi", user="ann").status == 200
        assert gateway.stop() == 0
    file = f"sqlite:///{one.state}/gateway.sqlite"
    refused = two.command("sessions", "copy", "--from", file)
    assert refused.returncode == 2
    assert "other conversations under the keys agent:main:openai-user:" in refused.stderr
    for arguments, code, why in (
        (("--from", f"sqlite:///{tmp_path}/none.sqlite"), 2, "There is no file"),
        (("--from", url), 2, "Both are the same database"),
        (("--from", "mysql://x/y"), 78, "--from must name"),
        (("--from", file, "--to", f"postgres://u:{PASSWORD}@127.0.0.1"), 78, "--to"),
        ((), 2, "--from"),
    ):
        done = two.command("sessions", "copy", *arguments)
        assert (done.returncode, why in done.stderr) == (code, True), done.stderr
        assert PASSWORD not in done.stderr + done.stdout
        assert "Traceback" not in done.stderr
    assert two.start().ask("more", user="ann").status == 200
    listed = two.command("sessions", "--json")
    assert len(json.loads(listed.stdout)["sessions"]) == 1
    two.stop()
