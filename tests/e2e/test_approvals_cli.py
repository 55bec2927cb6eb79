"""Approving on the command line: at the terminal that a run was started on, and from another one."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.support.approvals import approving_gateway, ask_beside, decide, pending, plays, result
from tests.support.gateway import GatewayProcess
from tests.support.provider import PATIENCE, ScriptedProvider

QUESTION = "[n]o?"


@pytest.fixture(scope="module")
def _approving(
    tmp_path_factory: pytest.TempPathFactory, _shared_provider: ScriptedProvider
) -> Iterator[GatewayProcess]:
    gateway = approving_gateway(tmp_path_factory.mktemp("approving"), _shared_provider.url)
    yield gateway.start()
    assert gateway.stop() == 0, gateway.log


@pytest.fixture
def gateway(_approving: GatewayProcess, provider: ScriptedProvider) -> GatewayProcess:
    return _approving


def test_commands(gateway: GatewayProcess, provider: ScriptedProvider):
    plays(provider, "echo $((20+3))")
    answer = ask_beside(gateway, x_openclaw_approvals="wait")
    (waiting,) = pending(gateway)
    listed = gateway.command("approvals", "list")
    assert listed.returncode == 0, listed.stderr
    row = listed.stdout.rstrip("\n").split("\t")
    assert (row[0], row[1], row[4]) == (waiting["id"], "main", "echo $((20+3))")
    assert json.loads(gateway.command("approvals", "list", "--json").stdout)["approvals"][0]["id"] == row[0]
    shown = gateway.command("approvals", "get", row[0])
    assert "status\tpending" in shown.stdout
    assert "directory\t" in shown.stdout
    allowed = gateway.command("approvals", "allow", row[0])
    assert (allowed.returncode, "status\tallowed" in allowed.stdout) == (0, True)
    assert answer.result(PATIENCE).text == "Done."
    assert result(provider) == "23"
    denied = gateway.command("approvals", "deny", row[0])
    assert (denied.returncode, denied.stderr) == (1, "error: It is allowed already.\n")
    assert gateway.command("approvals", "list").stdout == ""
    unknown = gateway.command("approvals", "get", "nothing")
    assert (unknown.returncode, "unknown or expired" in unknown.stderr) == (2, True)


@pytest.mark.parametrize("where", [["--local"], []])
def test_yes_and_no_at_the_terminal(gateway: GatewayProcess, provider: ScriptedProvider, where: list[str]):
    plays(provider, "echo $((20+4))")
    with gateway.at_terminal("agent", *where, "-m", "Do it") as terminal:
        terminal.until(QUESTION)
        assert "echo $((20+4))" in terminal.shown
        assert "! Only a shell can say" in terminal.shown
        assert "[a]lways" not in terminal.shown
        terminal.types("a\n")
        terminal.until(QUESTION)
        terminal.types("perhaps\n")
        terminal.until(QUESTION)
        terminal.types("y\n")
        assert terminal.ends() == (0, "Done.\n")
    assert result(provider) == "24"
    plays(provider, "touch $HOME/no")
    with gateway.at_terminal("agent", *where, "-m", "Do it") as terminal:
        terminal.until(QUESTION)
        terminal.types("n\n")
        assert terminal.ends() == (0, "Done.\n")
    assert "user-denied" in result(provider)


def test_always_at_the_terminal_of_a_local_run_holds_for_the_gateway(
    gateway: GatewayProcess, provider: ScriptedProvider
):
    plays(provider, "uname -s")
    with gateway.at_terminal("agent", "--local", "-m", "Do it") as terminal:
        terminal.until(f"[a]lways, {QUESTION}")
        terminal.types("a\n")
        assert terminal.ends() == (0, "Done.\n")
    plays(provider, "uname -s")
    assert gateway.command("agent", "--local", "-m", "Do it").stdout == "Done.\n"
    assert result(provider) == "Linux"
    plays(provider, "uname -s")
    assert gateway.command("agent", "-m", "Do it").stdout == "Done.\n"
    assert result(provider) == "Linux"


def test_without_a_terminal_nobody_is_asked(gateway: GatewayProcess, provider: ScriptedProvider):
    plays(provider, "touch no.txt")
    done = gateway.command("agent", "--local", "-m", "Do it", stdin="y\n")
    assert (done.returncode, done.stdout) == (0, "Done.\n")
    assert "nobody who could give it" in result(provider)


def test_what_was_typed_before_the_question_is_no_answer(gateway: GatewayProcess, provider: ScriptedProvider):
    plays(provider, "touch $HOME/no")
    with gateway.at_terminal("agent", "--local", "-m", "Do it") as terminal:
        terminal.types("y\ny\ny\n")
        terminal.until(QUESTION)
        terminal.types("n\n")
        assert terminal.ends() == (0, "Done.\n")
    assert "user-denied" in result(provider)


@pytest.mark.parametrize("where", [["--local"], []])
def test_somebody_else_answers_first(gateway: GatewayProcess, provider: ScriptedProvider, where: list[str]):
    plays(provider, "echo $((20+5))")
    with gateway.at_terminal("agent", *where, "-m", "Do it") as terminal:
        terminal.until(QUESTION)
        (waiting,) = pending(gateway)
        assert decide(gateway, waiting["id"], "allow-once").status == 200
        terminal.until("It is decided already.")
        assert terminal.ends() == (0, "Done.\n")
    assert result(provider) == "25"


@pytest.mark.parametrize("where", [["--local"], []])
def test_ctrl_c_at_the_question_stops_the_run(
    gateway: GatewayProcess, provider: ScriptedProvider, where: list[str]
):
    plays(provider, "touch $HOME/no")
    with gateway.at_terminal("agent", *where, "-m", "Do it") as terminal:
        terminal.until(QUESTION)
        terminal.interrupts()
        assert terminal.ends() == (130, "")
    assert pending(gateway, 0) == []
    assert not (gateway.folder / "no").exists()
