"""`exec` inside bubblewrap, through a real gateway."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.test_exec import PATIENCE, error_of, result_of
from tests.support.gateway import GatewayProcess, agent_config
from tests.support.provider import ScriptedProvider, wait_until

if TYPE_CHECKING:
    from tests.e2e.conftest import StartGateway

needs_bubblewrap = pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")


def config(provider: ScriptedProvider, folder: Path, **settings: Any) -> dict[str, Any]:
    tools = {"exec": {"mode": "full", "sandbox": "required", **settings}}
    found = agent_config(provider.url, tools, workspace=str(folder / "ws"))
    found["agents"]["list"].append({"id": "beta", "workspace": str(folder / "beta")})
    return found


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Not below /tmp, which is another one in the sandbox anyway."""
    folder = Path(tempfile.mkdtemp(prefix=".openclaw-test-", dir=Path.home())).resolve()
    (folder / "beta").mkdir()
    (folder / "beta" / "diary").write_text("a diary-canary")
    (folder / ".ssh").mkdir()
    (folder / ".ssh" / "id_ed25519").write_text("secret-canary")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def sandboxed(_shared_provider: ScriptedProvider, folder: Path) -> Any:
    gateway = GatewayProcess(folder, config(_shared_provider, folder), SOME_API_KEY="secret-canary")
    yield gateway.start()
    assert gateway.stop() == 0, gateway.log


@needs_bubblewrap
def test_a_command_sees_its_workspace_and_writes_there_alone(
    sandboxed: GatewayProcess, provider: ScriptedProvider, folder: Path
):
    command = """
        pwd; echo mine > note; cat note
        for file in /etc/canary "$HOME/canary" /canary; do echo x > $file; done
        echo private > /tmp/canary && cat /tmp/canary
    """
    said = result_of(sandboxed, provider, "exec", {"command": command})
    assert said.splitlines()[:2] == [str((folder / "ws").resolve()), "mine"]
    assert (folder / "ws" / "note").read_text() == "mine\n"
    assert "private" in said
    assert not Path("/tmp/canary").exists()
    assert not Path("/etc/canary").exists()
    assert sandboxed.request("GET", "/ready?verbose").json["execSandbox"] == "bubblewrap"


@needs_bubblewrap
def test_secrets_other_agents_processes_and_the_network_are_out_of_sight(
    sandboxed: GatewayProcess, provider: ScriptedProvider, folder: Path
):
    command = f"""
        cat {sandboxed.config_path} {folder}/beta/diary $HOME/.ssh/* /etc/shadow; ls -a {sandboxed.state}
        cat /proc/*/environ | tr '\\0' '\\n'; ps aux | grep -c [g]unicorn
        exec 3<>/dev/tcp/127.0.0.1/{sandboxed.port} && echo con''nected
        echo x > /proc/sys/kernel/core_pattern && echo wr''ote; mount -o remount,rw / && echo re''mounted
        grep CapEff /proc/self/status
    """
    said = result_of(sandboxed, provider, "exec", {"command": command}).splitlines()
    text = "\n".join(line for line in said if not line.startswith(("cat: ", "/bin/bash: ")))
    for secret in ("canary", "sqlite", "a-token-for-tests", "connected", "wrote", "remounted", "root:"):
        assert secret not in text
    assert "CapEff:\t0000000000000000" in text


@needs_bubblewrap
def test_the_files_of_the_system_prompt_are_kept(
    sandboxed: GatewayProcess, provider: ScriptedProvider, folder: Path
):
    (folder / "ws").mkdir(exist_ok=True)
    rules = folder / "ws" / "AGENTS.md"
    rules.write_text("Be kind.")
    command = "echo Obey >> AGENTS.md; rm -f AGENTS.md; echo Obey > new; mv new AGENTS.md; cat AGENTS.md"
    said = result_of(sandboxed, provider, "exec", {"command": command})
    assert "Be kind." in said
    assert rules.read_text() == "Be kind."
    rules.unlink()


@needs_bubblewrap
def test_it_ends_whole_in_the_sandbox_too(
    sandboxed: GatewayProcess, provider: ScriptedProvider, folder: Path
):
    mark = f"6{sandboxed.port}"  # seconds that nobody else sleeps
    command = f"setsid sh -c 'sleep {mark} & sleep {mark}' & sleep {mark}"
    arguments = {"command": command, "background": True}
    said = result_of(sandboxed, provider, "exec", arguments, x_openclaw_session_key="whole")
    name = said.split("session ")[1].split(",")[0]
    wait_until(lambda: sleeping(mark) == 3, PATIENCE, "three processes")
    kill = {"action": "kill", "sessionId": name}
    result_of(sandboxed, provider, "process", kill, x_openclaw_session_key="whole")
    wait_until(lambda: sleeping(mark) == 0, PATIENCE, "the end of all of them")


def sleeping(seconds: str) -> int:
    found = 0
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            found += file.read_bytes().startswith(b"sleep\0%b\0" % seconds.encode())
    return found


def test_a_required_sandbox_that_does_not_work_refuses_every_command(
    start_gateway: StartGateway, provider: ScriptedProvider, tmp_path: Path
):
    broken = tmp_path / "bin" / "bwrap"
    broken.parent.mkdir()
    broken.write_text("#!/bin/sh\necho No permissions to create a new namespace >&2\nexit 1\n")
    broken.chmod(0o755)
    gateway = start_gateway(config(provider, tmp_path), PATH=f"{broken.parent}:/usr/bin:/bin")
    said = error_of(result_of(gateway, provider, "exec", {"command": "touch ran"}))
    assert "tools.exec.sandbox is `required`" in said
    assert "No permissions to create a new namespace" in said
    assert not (tmp_path / "ws" / "ran").exists()
    assert gateway.request("GET", "/ready?verbose").json["execSandbox"] == "none"
    assert "no sandbox for commands" in gateway.log


def test_without_a_sandbox_auto_runs_commands_and_says_so(
    start_gateway: StartGateway, provider: ScriptedProvider, tmp_path: Path
):
    broken = tmp_path / "bin" / "bwrap"
    broken.parent.mkdir()
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    settings = config(provider, tmp_path, sandbox="auto")
    gateway = start_gateway(settings, PATH=f"{broken.parent}:/usr/bin:/bin")
    for _ in range(2):
        assert result_of(gateway, provider, "exec", {"command": "echo ran"}) == "ran"
    assert gateway.log.count("no sandbox for commands") == 1
