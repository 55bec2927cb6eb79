"""`exec` and `process` as tools, with a room of their own."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.config.agent_settings import AgentSettings
from app.config.settings import Settings
from app.config.tool_settings import ExecSettings, ToolSettings
from app.events.types import Event, ToolReturned, ToolUpdated
from app.messages import ToolCall
from app.tools.base import Invocation, ToolError, ToolOutput
from app.tools.builtin.exec import exec_tool
from app.tools.builtin.process import process_tool
from app.tools.call import StartedCall
from app.tools.exec.gate import ExecRequest
from app.tools.exec.results import running_output
from app.tools.exec.room import ExecRoom
from app.tools.updates import SECONDS
from tests.support.provider import wait_until
from tests.unit.agents.own_tools import run_context

FULL = ExecSettings(mode="full", sandbox="off")


class OpenGate:
    """Lets every command pass."""

    def permit(self, call: Invocation, request: ExecRequest) -> None:
        pass


class Agent:
    """One agent's tools. `call` returns a call's result, `events` are what the run has published."""

    def __init__(self, folder: Path) -> None:
        agent = AgentSettings("main", default=True, workspace=folder / "ws", tools=ToolSettings(exec=FULL))
        self.settings = Settings(folder / "state", agents=(agent,))
        self.room = ExecRoom(lambda: self.settings, OpenGate())
        self.tools = {one.name: one for one in (exec_tool(self.room), process_tool(self.room.background))}
        self.events: list[Event] = []

    def allow(self, **changes: Any) -> None:
        (agent,) = self.settings.agents
        tools = replace(agent.tools, exec=replace(FULL, **changes))
        self.settings = replace(self.settings, agents=(replace(agent, tools=tools),))

    def call(self, tool: str, session: str = "agent:main:test", **arguments: Any) -> ToolOutput:
        run = run_context(
            settings=lambda: self.settings, events=self.events, is_stored=True, session_key=session
        )
        written = ToolCall("call_1", tool, json.dumps(arguments))
        return StartedCall(self.tools[tool], written, run).wait()


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    found = Agent(tmp_path)
    yield found
    found.room.close()


def error_of(output: ToolOutput) -> str:
    assert output.is_error
    return str(json.loads(output.text)["error"])


def test_details_say_how_it_ended(agent: Agent):
    details = agent.call("exec", command="echo hi; exit 2").details
    assert (details["status"], details["exitCode"], details["aggregated"]) == ("completed", 2, "hi\n")
    assert details["cwd"].endswith("/ws")
    details = agent.call("exec", command="kill -9 $$").details
    assert (details["status"], details["exitSignal"], details["exitReason"]) == (
        "failed",
        "SIGKILL",
        "signal",
    )
    output = agent.call("exec", command="sleep 60", timeoutSeconds=0.2)
    assert (output.details["timedOut"], output.is_error) == (True, True)


def test_who_follows_the_run_sees_the_output_as_it_comes(agent: Agent, tmp_path: Path):
    """The command goes on when the first of it has been seen."""

    def see() -> None:
        wait_until(lambda: any(isinstance(event, ToolUpdated) for event in agent.events), 30, "an update")
        (tmp_path / "seen").touch()

    follower = threading.Thread(target=see)
    follower.start()
    command = f"echo first; while [ ! -e {tmp_path}/seen ]; do sleep 0.02; done; echo second"
    agent.call("exec", command=command)
    follower.join(30)
    updates = [event.text for event in agent.events if isinstance(event, ToolUpdated)]
    assert updates[0] == "first\n"
    (returned,) = [event for event in agent.events if isinstance(event, ToolReturned)]
    assert returned.text == "first\nsecond"


def test_a_flood_gives_few_updates(agent: Agent):
    agent.call("exec", command="yes", timeoutSeconds=2)
    updates = [event.text for event in agent.events if isinstance(event, ToolUpdated)]
    (returned,) = [event for event in agent.events if isinstance(event, ToolReturned)]
    assert 1 <= len(updates) <= 2 + returned.seconds / SECONDS
    assert max(map(len, updates)) <= 4000


def test_what_goes_on_is_shown_with_its_output_so_far(agent: Agent):
    name = agent.call("exec", command="echo begun; exec sleep 600", background=True).details["sessionId"]
    one = agent.room.background.find("agent:main:test", name)
    one.command.wait(lambda: one.command.output.total > 0, 30)
    text = running_output(one).text
    assert text.startswith(f"Command still running (session {name}, pid {one.command.pid}). Use process")
    assert text.endswith("\n\nOutput so far:\nbegun\n")


def test_the_gate_stands_before_every_command(agent: Agent, tmp_path: Path):
    asked: list[ExecRequest] = []

    class Gate:
        def permit(self, call: Invocation, request: ExecRequest) -> None:
            asked.append(request)
            raise ToolError("Not today.")

    agent.room.gate = Gate()
    assert error_of(agent.call("exec", command="touch ran", env={"A": "1"}, ask="always")) == "Not today."
    (request,) = asked
    assert (request.command, request.env, request.ask) == ("touch ran", {"A": "1"}, "always")
    assert request.workdir == tmp_path / "ws"
    assert not (tmp_path / "ws" / "ran").exists()


def test_a_session_may_have_only_so_many_in_the_background(agent: Agent, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("app.tools.exec.background.MAX_PER_SCOPE", 2)
    for _ in range(2):
        agent.call("exec", command="sleep 600", background=True)
    assert "End one first" in error_of(agent.call("exec", command="true"))
    assert agent.call("exec", session="agent:main:other", command="true").text == "(no output)"


def test_ended_commands_are_forgotten(agent: Agent):
    agent.allow(cleanup_seconds=0.0)
    name = agent.call("exec", command="sleep 0.5", background=True).details["sessionId"]
    for _ in range(200):
        output = agent.call("process", action="poll", sessionId=name, timeout=1000)
        if output.is_error:
            break
    assert "No session" in error_of(output)
    assert agent.call("process", action="list").text == "No background commands."


def test_the_log_is_read_by_lines(agent: Agent):
    name = agent.call("exec", command="sleep 0.5; seq 1 1000", background=True).details["sessionId"]
    said = ""
    while "exited with code 0" not in said:
        said = agent.call("process", action="poll", sessionId=name, timeout=20_000).text

    def log(**more: int) -> ToolOutput:
        return agent.call("process", action="log", sessionId=name, **more)

    assert log(offset=9, limit=2).text == "10\n11\n\n[lines 9 to 10 of 1000]"
    assert log().text.startswith("801\n")
    assert log(limit=5000).details["totalLines"] == 1000
    assert log(offset=5000).text.startswith("(no output)")
    listed = agent.call("process", action="list")
    assert "completed" in listed.text
    assert listed.details["sessions"][0]["command"] == "sleep 0.5; seq 1 1000"


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ({"action": "poll"}, "sessionId is missing"),
        ({"action": "fly", "sessionId": "x"}, "Invalid enum value"),
        ({"action": "send-keys"}, "Nothing to send"),
        ({"action": "paste"}, "text is missing"),
        ({"action": "clear"}, "still running"),
        ({"action": "write", "data": "x"}, "no open input"),
    ],
)
def test_what_process_cannot_do_is_said(agent: Agent, arguments: dict[str, Any], what: str):
    name = agent.call("exec", command="sleep 600", yieldMs=0).details["sessionId"]
    given = {"sessionId": name, **arguments} if arguments["action"] != "poll" else arguments
    output = agent.call("process", **given)
    assert output.is_error
    assert what in output.text


def test_several_at_once_do_not_mix(agent: Agent):
    found: dict[int, str] = {}

    def work(number: int) -> None:
        found[number] = agent.call("exec", command=f"for i in 1 2 3; do echo {number}; sleep 0.05; done").text

    threads = [threading.Thread(target=work, args=(number,)) for number in range(12)]
    each: Callable[[threading.Thread], None]
    for each in (threading.Thread.start, threading.Thread.join):
        for thread in threads:
            each(thread)
    assert found == {number: f"{number}\n{number}\n{number}" for number in range(12)}
