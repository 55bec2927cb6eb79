"""What the command line shows of an agent at work: a line for each call of a tool, on standard error."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from tests.e2e.test_tool_sessions import calls
from tests.support.gateway import GatewayProcess, agent_config
from tests.support.provider import ScriptedProvider, says

HOSTILE = "no\x1b]52;c;cm0gLXJmIH4=\x07such\x9bfile"


@pytest.fixture(scope="module")
def _provider() -> Iterator[ScriptedProvider]:
    with ScriptedProvider() as provider:
        yield provider


@pytest.fixture(scope="module")
def gateway(
    _provider: ScriptedProvider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    folder = tmp_path_factory.mktemp("cli")
    work = folder / "work"
    work.mkdir()
    (work / "notes.txt").write_text("Buy tea.\n")
    gateway = GatewayProcess(folder, agent_config(_provider.url, workspace=str(work)))
    yield gateway.start()
    assert gateway.stop() == 0, gateway.log


@pytest.fixture
def provider(_provider: ScriptedProvider) -> ScriptedProvider:
    _provider.reset()
    turn = calls(("c1", "read", {"path": "notes.txt"}), ("c2", "read", {"path": HOSTILE}), before="A moment.")
    _provider.plays(turn, says("Done."))
    return _provider


@pytest.mark.parametrize("where", [(), ("--local",)])
@pytest.mark.parametrize("how", [(), ("--stream",)])
def test_each_call_has_a_line(
    gateway: GatewayProcess, provider: ScriptedProvider, where: tuple[str, ...], how: tuple[str, ...]
) -> None:
    done = gateway.command("agent", "-m", "hi", *where, *how)
    assert (done.returncode, done.stdout) == (0, "A moment.\n\nDone.\n")
    good, bad = sorted(done.stderr.splitlines(), key=len)
    assert re.fullmatch(r"tool read notes\.txt \(\d+\.\d s\)", good)
    assert re.fullmatch(r"tool read no\\x1b\]52;\S+\\x07such\\x9bfile failed \(\d+\.\d s\)", bad)


@pytest.mark.parametrize("where", [(), ("--local",)])
@pytest.mark.parametrize("how", [("--quiet",), ("--json",), ("--json", "--stream")])
def test_no_lines(
    gateway: GatewayProcess, provider: ScriptedProvider, where: tuple[str, ...], how: tuple[str, ...]
) -> None:
    done = gateway.command("agent", "-m", "hi", *where, *how)
    assert (done.returncode, done.stderr) == (0, "")
    if "--json" in how:
        assert json.loads(done.stdout.splitlines()[-1])["text"] == "A moment.\n\nDone."
    else:
        assert done.stdout == "A moment.\n\nDone.\n"
