"""`exec` and `process` through a real gateway: an agent that may run every command."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.test_agent_tools import ask, calls
from tests.support.gateway import GatewayProcess, agent_config
from tests.support.provider import ScriptedProvider, says, wait_for, wait_until

if TYPE_CHECKING:
    from tests.e2e.conftest import StartGateway

PATIENCE = 30.0


def config(provider: ScriptedProvider, workspace: Path, **settings: Any) -> dict[str, Any]:
    tools = {"exec": {"mode": "full", "sandbox": "off", **settings}}
    return agent_config(provider.url, tools, workspace=str(workspace))


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workspace") / "made-when-needed"


@pytest.fixture(scope="module")
def exec_gateway(
    _shared_provider: ScriptedProvider, workspace: Path, tmp_path_factory: pytest.TempPathFactory
) -> Any:
    settings = config(_shared_provider, workspace, inheritEnv=["EXEC_*"], pathPrepend=["/prepended"])
    gateway = GatewayProcess(
        tmp_path_factory.mktemp("exec"),
        settings,
        EXEC_CANARY="inherited",
        EXEC_TOKEN="secret-canary",
        SOME_API_KEY="secret-canary",
    )
    yield gateway.start()
    assert gateway.stop() == 0, gateway.log
    assert "Traceback" not in gateway.log


def result_of(
    gateway: GatewayProcess, provider: ScriptedProvider, tool: str, arguments: dict[str, Any], **headers: str
) -> str:
    """What the model gets for one call."""
    provider.plays(calls(tool, arguments), says("Done."))
    answer = gateway.chat(
        {"model": "openclaw", "messages": [{"role": "user", "content": "Do it"}]}, **headers
    )
    assert answer.text == "Done.", answer.json
    content: str = provider.requests[-1]["messages"][-1]["content"]
    return content


def error_of(result: str) -> str:
    error = json.loads(result)
    assert error["status"] == "error"
    message: str = error["error"]
    return message


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def pid_in(file: Path) -> int:
    wait_until(lambda: file.exists() and file.read_text().endswith("\n"), PATIENCE, str(file))
    return int(file.read_text())


def test_a_command_runs_in_the_workspace(
    exec_gateway: GatewayProcess, provider: ScriptedProvider, workspace: Path
):
    said = result_of(
        exec_gateway, provider, "exec", {"command": "pwd; echo to stderr >&2; echo $OPENCLAW_SHELL"}
    )
    assert said == f"{workspace.resolve()}\nto stderr\nexec"
    assert "command ended" in exec_gateway.log


def test_what_the_model_gets(exec_gateway: GatewayProcess, provider: ScriptedProvider):
    def exec_(command: str, **more: Any) -> str:
        return result_of(exec_gateway, provider, "exec", {"command": command, **more})

    assert exec_("true") == "(no output)"
    assert exec_("echo oh; exit 3") == "oh\n\n(Command exited with code 3)"
    assert exec_("kill -9 $$") == "(no output)\n\n(Command was ended by signal SIGKILL)"
    assert exec_("printf '\\xff\\e[31mred\\e[0m\\r\\n\\x9b1m'") == "\ufffdred\n\ufffd1m"
    timed_out = exec_("echo first; sleep 60", timeoutSeconds=2)
    assert timed_out.startswith("first\n\nCommand timed out after 2 seconds.")
    long = exec_("seq 1 100000")
    assert long.startswith("1\n2\n")
    assert long.endswith("\n100000")
    assert "left out here" in long
    assert len(long) < 35_000


def test_the_environment_is_an_allowlist(exec_gateway: GatewayProcess, provider: ScriptedProvider):
    said = result_of(exec_gateway, provider, "exec", {"command": "env", "env": {"MINE": "yes"}})
    variables = dict(line.split("=", 1) for line in said.splitlines())
    assert "secret-canary" not in said
    assert "EXEC_TOKEN" not in variables
    assert (variables["MINE"], variables["EXEC_CANARY"]) == ("yes", "inherited")
    assert variables["PATH"].startswith("/prepended:")
    assert {name for name in variables if name.startswith("OPENCLAW_")} == {
        "OPENCLAW_SHELL",
        "OPENCLAW_EXEC_MARK",
    }


@pytest.mark.parametrize("name", ["PATH", "LD_PRELOAD", "BASH_ENV", "NODE_OPTIONS", "PYTHONSTARTUP", "a b"])
def test_variables_that_choose_programs_are_refused(
    exec_gateway: GatewayProcess, provider: ScriptedProvider, name: str
):
    assert name in error_of(result_of(exec_gateway, provider, "exec", {"command": "env", "env": {name: "x"}}))


def test_folders_outside_the_workspace_are_refused(
    exec_gateway: GatewayProcess, provider: ScriptedProvider, workspace: Path
):
    workspace.mkdir(exist_ok=True)
    (workspace / "out").symlink_to("/etc")
    (workspace / "in").mkdir()
    for outside in ("/etc", "..", "out"):
        said = result_of(exec_gateway, provider, "exec", {"command": "pwd", "workdir": outside})
        assert "outside the workspace" in error_of(said)
    said = result_of(exec_gateway, provider, "exec", {"command": "pwd", "workdir": "in"})
    assert said == str(workspace.resolve() / "in")


def test_what_cannot_be_done_is_said(exec_gateway: GatewayProcess, provider: ScriptedProvider):
    for arguments, what in (
        ({"command": " "}, "empty"),
        ({"command": "pwd", "host": "node"}, "no nodes"),
        ({"command": "pwd", "host": "sandbox"}, "no sandbox"),
        ({"command": "pwd", "workdir": "no-such"}, "not a folder"),
        ({"command": "pwd", "timeoutSeconds": -1}, "timeoutSeconds"),
        ({"command": "x" * 200_000}, "longer"),
    ):
        assert what in error_of(result_of(exec_gateway, provider, "exec", arguments))


def test_nothing_that_a_command_has_started_is_left(
    exec_gateway: GatewayProcess, provider: ScriptedProvider, workspace: Path
):
    command = "setsid sh -c 'echo $$ > left; exec sleep 600' & while [ ! -s left ]; do sleep 0.02; done"
    said = result_of(exec_gateway, provider, "exec", {"command": command})
    assert "1 process that the command had left running was ended" in said
    assert not is_alive(pid_in(workspace / "left"))


def test_a_caller_that_leaves_ends_the_command_and_all_it_has_started(
    exec_gateway: GatewayProcess, provider: ScriptedProvider, workspace: Path
):
    deep = "setsid env -i sh -c 'echo $$ > deep; sleep 600'"
    command = f"trap '' TERM; {deep} & echo $$ > shell; while :; do sleep 1; done"
    provider.plays(calls("exec", {"command": command}))
    with exec_gateway.stream("go"):
        pids = [pid_in(workspace / name) for name in ("shell", "deep")]
        left_at = time.monotonic()
    wait_until(lambda: not any(map(is_alive, pids)), PATIENCE, "the end of the command")
    assert time.monotonic() - left_at < 10  # about a second on an idle machine
    wait_until(lambda: exec_gateway.metric("openclaw_active_runs") == 0, PATIENCE, "the end of the run")


def test_a_background_command_is_followed_fed_and_ended(
    exec_gateway: GatewayProcess, provider: ScriptedProvider
):
    def call(tool: str, **arguments: Any) -> str:
        return result_of(exec_gateway, provider, tool, arguments, x_openclaw_session_key="followed")

    started = call("exec", command="echo ready; while read line; do echo got $line; done", background=True)
    assert started.startswith("Command still running (session ")
    name = started.split("session ")[1].split(",")[0]

    def process(action: str, **more: Any) -> str:
        return call("process", action=action, sessionId=name, **more)

    assert name in call("process", action="list")
    process("write", data="one\n")
    process("submit", data="two")
    said = ""
    while "got two" not in said:
        said += process("poll", timeout=20_000)
    assert f"Command still running (session {name}" in said
    assert "got two" in process("log")
    assert "got one" in process("log", offset=1, limit=1)
    process("write", eof=True)
    while "(Command exited with code 0)" not in (said := process("poll", timeout=20_000)):
        assert "still running" in said
    process("clear")
    assert "No session" in error_of(process("poll"))
    assert call("process", action="list") == "No background commands."


def test_a_background_command_belongs_to_its_session(
    exec_gateway: GatewayProcess, provider: ScriptedProvider, workspace: Path
):
    arguments = {"command": "echo $$ > mine; exec sleep 600", "background": True}
    started = result_of(exec_gateway, provider, "exec", arguments, x_openclaw_session_key="its-own")
    name = started.split("session ")[1].split(",")[0]
    pid = pid_in(workspace / "mine")
    kill = {"action": "remove", "sessionId": name}
    said = result_of(exec_gateway, provider, "process", kill, x_openclaw_session_key="another")
    assert "No session" in error_of(said)
    assert is_alive(pid)
    assert "forgotten" in result_of(exec_gateway, provider, "process", kill, x_openclaw_session_key="its-own")
    assert not is_alive(pid)


def test_a_command_that_takes_long_goes_on_in_the_background(
    exec_gateway: GatewayProcess, provider: ScriptedProvider
):
    arguments = {"command": "echo begun; sleep 600", "yieldMs": 300}
    said = result_of(exec_gateway, provider, "exec", arguments, x_openclaw_session_key="slow")
    assert said.startswith("Command still running (session ")
    name = said.split("session ")[1].split(",")[0]
    poll = {"action": "poll", "sessionId": name, "timeout": 20_000}
    while "begun" not in said:  # a busy machine may not have come so far
        said = result_of(exec_gateway, provider, "process", poll, x_openclaw_session_key="slow")
        assert f"Command still running (session {name}" in said
    assert "begun\n" in said


def test_a_run_without_a_session_takes_its_commands_along(
    exec_gateway: GatewayProcess, provider: ScriptedProvider, workspace: Path
):
    arguments = {"command": "echo $$ > gone; exec sleep 600", "background": True}
    has_begun = threading.Event()
    provider.plays(calls("exec", arguments), [wait_for(has_begun), *says("Done.")])
    with exec_gateway.stream("go") as answer:
        pid = pid_in(workspace / "gone")
        assert is_alive(pid)
        has_begun.set()
        assert b"Done." in answer.read()
    wait_until(lambda: not is_alive(pid), PATIENCE, "the end of the command")


def test_a_terminal_is_real(exec_gateway: GatewayProcess, provider: ScriptedProvider):
    def call(tool: str, **arguments: Any) -> str:
        return result_of(exec_gateway, provider, tool, arguments, x_openclaw_session_key="terminal")

    started = call("exec", command="trap 'echo caught; exit 7' INT; tty; cat", pty=True, yieldMs=500)
    name = started.split("session ")[1].split(",")[0]
    while "/dev/pts/" not in started:
        started += call("process", action="poll", sessionId=name, timeout=20_000)
    said = ""
    for keys, wanted in ((["typed", "Enter"], "typed"), (["C-c"], "(Command exited with code 7)")):
        literal = [key for key in keys if key == "typed"]
        call(
            "process", action="send-keys", sessionId=name, literal="".join(literal), keys=keys[len(literal) :]
        )
        while wanted not in said:
            said += call("process", action="poll", sessionId=name, timeout=20_000)
    assert "caught" in said


def test_floods_are_bounded_and_do_not_stop_the_gateway(
    exec_gateway: GatewayProcess, provider: ScriptedProvider
):
    provider.plays(calls("exec", {"command": "yes", "timeoutSeconds": 3}), says("Done."))
    answers: list[str] = []
    thread = threading.Thread(target=lambda: answers.append(ask(exec_gateway).text))
    thread.start()
    while thread.is_alive():
        assert exec_gateway.request("GET", "/health", timeout=10).status == 200
        thread.join(0.1)
    said = provider.requests[-1]["messages"][-1]["content"]
    assert len(said) < 35_000
    assert "timed out after 3 seconds" in said


def test_the_end_of_the_gateway_ends_its_commands(
    start_gateway: StartGateway, provider: ScriptedProvider, tmp_path: Path
):
    pids = []
    gateway = start_gateway(config(provider, tmp_path / "ws"))
    for name, end in (("stopped", gateway.stop), ("killed", gateway.kill)):
        if name == "killed":
            gateway.start()
        command = f"setsid sh -c 'echo $$ > {name}; exec sleep 600' & sleep 600"
        arguments = {"command": command, "background": True}
        result_of(gateway, provider, "exec", arguments, x_openclaw_session_key="kept")
        pids.append(pid_in(tmp_path / "ws" / name))
        assert is_alive(pids[-1])
        end()
        wait_until(lambda: not is_alive(pids[-1]), PATIENCE, f"the end of a command of a {name} gateway")
    (lock,) = (gateway.state / "exec").iterdir()
    gateway.start()
    wait_until(lambda: not lock.exists(), PATIENCE, "gateway that forgets the dead one")


def test_what_a_killed_gateway_could_not_end_is_ended_by_the_next_one(
    start_gateway: StartGateway, provider: ScriptedProvider, tmp_path: Path
):
    gateway = start_gateway(config(provider, tmp_path / "ws"))
    arguments = {"command": "echo $PPID > keeper; echo $$ > left; exec sleep 600", "background": True}
    result_of(gateway, provider, "exec", arguments, x_openclaw_session_key="kept")
    keeper, left = (pid_in(tmp_path / "ws" / name) for name in ("keeper", "left"))
    os.kill(keeper, 19)  # SIGSTOP: it notices nothing
    gateway.kill()
    os.kill(keeper, 9)
    assert is_alive(left)
    gateway.start()
    wait_until(lambda: not is_alive(left), PATIENCE, "the end of what was left")
    wait_until(lambda: "commands of an earlier process were ended" in gateway.log, PATIENCE, "a log line")
