"""What a command sees in the sandbox, and what becomes of it where there is none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.config import bubblewrap
from app.config.agent_settings import AgentSettings
from app.config.bubblewrap import sandbox_notes
from app.config.settings import Settings
from app.config.tool_settings import ExecSettings, FsSettings, ToolSettings
from app.tools.base import ToolError
from app.tools.exec.commands import Commands
from app.tools.exec.sandbox import SandboxCheck
from app.tools.exec.sandbox_view import sandbox_arguments


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A home with the gateway's state, which has the workspaces; nothing of /tmp is private meanwhile."""
    monkeypatch.setattr("app.tools.exec.sandbox_view.PRIVATE", ())
    home = tmp_path.resolve() / "home"
    for folder in ("state/workspace", "state/workspace-beta", ".ssh"):
        (home / folder).mkdir(parents=True)
    for file in (".netrc", "other.json", "state/openclaw.json", "state/workspace/AGENTS.md"):
        (home / file).touch()
    return home


def mounts(home: Path, **exec_: bool) -> list[tuple[str, str]]:
    """(option, path below the home) in their order."""
    tools = ToolSettings(exec=ExecSettings(**exec_))  # type: ignore[arg-type]
    main = AgentSettings("main", default=True, workspace=home / "state/workspace", tools=tools)
    beta = AgentSettings("beta", workspace=home / "state/workspace-beta")
    sources = (home / "other.json", home / "state/openclaw.json", home / "missing")
    settings = Settings(home / "state", agents=(main, beta), sources=sources)
    workspace = home / "state/workspace"
    arguments = sandbox_arguments(settings, main, workspace, workspace / "in", home)
    assert arguments[-3:] == ["--chdir", str(workspace / "in"), "--"]
    assert ("--share-net" in arguments) == exec_.get("sandbox_network", False)
    found = []
    for place, word in enumerate(arguments):
        if word in ("--tmpfs", "--bind", "--ro-bind"):
            target = arguments[place + (1 if word == "--tmpfs" else 2)]
            if target.startswith(str(home)):
                found.append((word, str(Path(target).relative_to(home))))
    return found


def test_what_is_hidden_and_what_lies_on_top(home: Path):
    found = mounts(home)
    assert set(found) == {
        ("--tmpfs", "state"),
        ("--tmpfs", ".ssh"),
        ("--ro-bind", ".netrc"),
        ("--ro-bind", "other.json"),
        ("--bind", "state/workspace"),
        ("--ro-bind", "state/workspace/AGENTS.md"),
    }
    order = [path for _, path in found]
    assert order.index("state") < order.index("state/workspace") < order.index("state/workspace/AGENTS.md")


def test_the_network_is_there_if_it_is_allowed(home: Path):
    mounts(home, sandbox_network=True)


def test_prompt_files_may_be_given_free(home: Path):
    agent = AgentSettings("main", default=True, tools=ToolSettings(fs=FsSettings(write_prompt_files=True)))
    workspace = home / "state/workspace"
    arguments = sandbox_arguments(Settings(home / "state"), agent, workspace, workspace, home)
    assert str(workspace / "AGENTS.md") not in arguments


def test_a_workspace_inside_anothers_is_still_there(home: Path):
    inner = home / "state/workspace/inner"
    inner.mkdir()
    outer_agent = AgentSettings("outer", default=True, workspace=home / "state/workspace")
    agent = AgentSettings("inner", workspace=inner)
    settings = Settings(home / "state", agents=(outer_agent, agent))
    arguments = sandbox_arguments(settings, agent, inner, inner, home)
    assert arguments.index(str(home / "state")) < arguments.index(str(inner))
    assert str(home / "state/workspace") not in arguments  # its parent is hidden already


def test_a_workspace_that_is_the_whole_home_is_not_taken_from_the_others(home: Path):
    agents = [AgentSettings("all", workspace=path) for path in (home, Path("/"), Path("/usr"))]
    mine = AgentSettings("main", default=True, workspace=home / "state/workspace")
    settings = Settings(home / "state", agents=(mine, *agents))
    arguments = sandbox_arguments(settings, mine, home / "state/workspace", home / "state/workspace", home)
    targets = {arguments[place + 1] for place, word in enumerate(arguments) if word == "--tmpfs"}
    assert targets == {"/dev/shm", str(home / "state"), str(home / ".ssh")}


@pytest.fixture
def check(tmp_path: Path) -> Iterator[Callable[..., SandboxCheck]]:
    commands = Commands(lambda: tmp_path / "state")
    yield lambda program: SandboxCheck(commands, lambda: program)
    commands.close()


def test_without_bubblewrap(check: Callable[..., SandboxCheck]):
    found = check(None)
    assert found.state == "unchecked"
    assert found.program("off") is None
    assert found.state == "unchecked"
    assert found.program("auto") is None
    assert found.state.startswith("none: bubblewrap is not installed")
    with pytest.raises(ToolError, match="not installed"):
        found.program("required")


def test_a_bubblewrap_that_does_not_work(check: Callable[..., SandboxCheck], tmp_path: Path):
    program = tmp_path / "bwrap"
    program.write_text("#!/bin/sh\necho 'bwrap: No permissions'\nexit 1\n")
    program.chmod(0o755)
    found = check(str(program))
    assert found.program("auto") is None
    with pytest.raises(ToolError, match=r"does not work on this machine \(bwrap: No permissions\)"):
        found.program("required")


def test_it_is_tried_once(check: Callable[..., SandboxCheck], tmp_path: Path):
    program, tries = tmp_path / "bwrap", tmp_path / "tries"
    program.write_text(f"#!/bin/sh\necho x >> {tries}\n")
    program.chmod(0o755)
    found = check(str(program))
    for _ in range(3):
        assert found.program("required") == str(program)
    assert found.state == "bubblewrap"
    assert tries.read_text() == "x\n"


def test_a_note_says_that_what_is_required_is_missing(monkeypatch: pytest.MonkeyPatch):
    required = AgentSettings("main", tools=ToolSettings(exec=ExecSettings(sandbox="required")))
    monkeypatch.setattr(bubblewrap, "find_bubblewrap", lambda: None)
    assert [*sandbox_notes([AgentSettings("beta")])] == []
    (note,) = sandbox_notes([required, AgentSettings("beta")])
    assert "`required` (main)" in note
    monkeypatch.setattr(bubblewrap, "find_bubblewrap", lambda: "/usr/bin/bwrap")
    assert [*sandbox_notes([required])] == []
