"""The gate before commands, with stores in memory: who is asked, what is bound, what is remembered."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.cancel import Cancel
from app.config.agent_settings import AgentSettings
from app.config.settings import Settings
from app.config.tool_settings import ExecSettings, ToolSettings
from app.errors import ApprovalRequired, GatewayError, RunAborted
from app.events.types import ApprovalRequested, ApprovalResolved
from app.tools.approvals.document import load_document
from app.tools.approvals.record import Approval, Resolver
from app.tools.approvals.service import ApprovalService
from app.tools.base import Invocation, ToolError
from app.tools.exec.approval_gate import ApprovalGate
from app.tools.exec.describe import visible
from app.tools.exec.gate import ExecRequest
from tests.support.approval_stores import MemoryApprovals, MemoryDocument
from tests.unit.agents.own_tools import run_context

PATIENCE = 20.0
ANN = Resolver("device", "ann")


class Desk:
    """A gate, an agent with a workspace, and somebody who answers."""

    def __init__(self, folder: Path) -> None:
        self.work = folder / "work"
        self.work.mkdir()
        self.set_exec(ExecSettings())
        self.store, self.document = MemoryApprovals(), MemoryDocument()
        self.service = ApprovalService(self.store)
        self.gate = ApprovalGate(self.service, self.document)
        self.events: list[Any] = []
        self.pauses: list[str] = []
        self.cancel = Cancel()

    def set_exec(self, exec_settings: ExecSettings) -> None:
        tools = ToolSettings(exec=exec_settings)
        agent = AgentSettings("main", default=True, workspace=self.work, tools=tools)
        self.settings = Settings(Path("/nowhere"), agents=(agent,))

    def write(self, **document: Any) -> None:
        self.document.document = load_document({"version": 1, **document})

    def answer(self, decision: Any, before: Callable[[], object] = lambda: None) -> None:
        """Answers the next approval so, after `before`."""
        self.service.approvers.append(lambda _: True)

        def resolve(approval: Approval) -> None:
            if approval.is_pending:
                before()
                threading.Thread(target=self.service.resolve, args=(approval.id, decision, ANN)).start()

        self.service.listeners.append(resolve)

    def permit(self, command: str, env: dict[str, str] | None = None, **more: Any) -> None:
        ask = more.pop("ask", None)
        call_cancel = more.pop("call_cancel", None)

        def pause() -> Callable[[], object]:
            self.pauses.append("paused")
            return lambda: self.pauses.append("resumed")

        context = run_context(self.cancel, self.events, settings=lambda: self.settings, pause=pause, **more)
        call = Invocation(context, "call_1", call_cancel or self.cancel, lambda _: None)
        self.gate.permit(call, ExecRequest(command, self.work, env or {}, ask))

    def refusal(self, command: str, env: dict[str, str] | None = None, **more: Any) -> str:
        with pytest.raises(ToolError) as caught:
            self.permit(command, env, **more)
        return str(caught.value)

    @property
    def asked(self) -> Approval:
        return list(self.store.records.values())[-1]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_the_texts_of_denials(desk: Desk):
    desk.set_exec(ExecSettings(mode="deny"))
    assert desk.refusal("ls") == "exec denied: host=gateway security=deny"
    desk.set_exec(ExecSettings(mode="allowlist"))
    assert desk.refusal("ls") == "exec denied: allowlist miss"
    desk.permit("head -c 3")
    desk.set_exec(ExecSettings(mode="full"))
    desk.permit("ls > x; rm -r $y")
    desk.set_exec(ExecSettings())
    assert desk.refusal("ls").startswith("exec denied: this command needs an approval, and nobody")
    assert desk.store.records == {}
    desk.answer("deny")
    assert desk.refusal("ls") == f"Exec denied (gateway id={desk.asked.id}, user-denied): ls"


def test_the_document_can_only_make_it_stricter(desk: Desk):
    desk.set_exec(ExecSettings(mode="full"))
    desk.write(agents={"main": {"security": "deny"}})
    assert desk.refusal("ls") == "exec denied: host=gateway security=deny"
    desk.write(agents={"*": {"security": "allowlist", "allowlist": [{"pattern": "uname"}]}})
    assert desk.refusal("ls") == "exec denied: allowlist miss"
    desk.permit("uname -s")
    desk.write(defaults={"ask": "always"})
    assert "nobody who could" in desk.refusal("head -c 3")
    desk.set_exec(ExecSettings(mode="deny"))
    desk.write(defaults={"security": "full", "ask": "off"})
    assert "security=deny" in desk.refusal("ls")
    desk.set_exec(ExecSettings(mode="allowlist"))
    assert "allowlist miss" in desk.refusal("ls")


def test_who_approves_lets_it_run_and_the_clock_stands_still_meanwhile(desk: Desk):
    desk.answer("allow-once")
    desk.permit("ls -la > x")
    requested, resolved = desk.events
    assert isinstance(requested, ApprovalRequested)
    assert requested.approval["presentation"]["commandText"] == "ls -la > x"
    assert resolved == ApprovalResolved(desk.asked.id, "call_1", "allow-once")
    assert desk.pauses == ["paused", "resumed"]


def test_another_program_under_the_same_name_is_not_what_was_approved(desk: Desk):
    script = desk.work / "build.sh"
    script.write_text("#!/bin/sh\necho harmless\n")
    script.chmod(0o755)
    desk.answer("allow-once", lambda: script.write_text("#!/bin/sh\nevil --now\n"))
    assert "has changed while the approval was waited for" in desk.refusal("./build.sh")


def test_a_directory_that_was_replaced_is_not_what_was_approved(desk: Desk, tmp_path: Path):
    def replace() -> None:
        desk.work.rename(tmp_path / "elsewhere")
        desk.work.symlink_to(tmp_path / "elsewhere")

    desk.answer("allow-once", replace)
    assert "the directory has changed" in desk.refusal("ls > x")


def test_a_shell_that_is_given_its_commands_later_comes_with_a_warning(desk: Desk):
    desk.answer("allow-once")
    for command, warned in (("bash", True), ("python3 -u", True), ("bash build.sh", False), ("ls", False)):
        desk.permit(command)
        assert any("given later" in one for one in desk.asked.request.warnings) is warned, command


def test_rules_that_became_stricter_meanwhile_count(desk: Desk):
    desk.answer("allow-once", lambda: desk.set_exec(ExecSettings(mode="deny")))
    assert desk.refusal("ls") == "exec denied: host=gateway security=deny"


def test_always_is_remembered_exactly(desk: Desk):
    desk.answer("allow-always")
    desk.permit("uname -s")
    count = len(desk.store.records)
    desk.permit("uname -s")
    desk.permit("  uname   '-s' ")
    assert len(desk.store.records) == count
    assert desk.document.document is not None
    (entry,) = desk.document.document.agents["main"].allowlist
    assert (entry.argv, entry.cwd, entry.source) == (("uname", "-s"), str(desk.work), "allow-always")
    desk.permit("uname -a")
    assert len(desk.store.records) == count + 1


def test_what_was_allowed_for_always_is_asked_about_in_other_company(desk: Desk):
    desk.answer("allow-always")
    desk.permit("uname -s")
    for other in ("uname -s; uname -s", "true && uname -s", "uname -s | head -c 1", "uname -s > x"):
        assert "nobody who could" in desk.refusal(other, approvals="deny")
    assert "nobody who could" in desk.refusal("uname -s", {"LC_ALL": "C"}, approvals="deny")


@pytest.mark.parametrize(
    ("command", "env", "ask"),
    [
        ("ls | wc", {}, None),
        ("ls > x", {}, None),
        ("ls $HOME", {}, None),
        ("ls", {"LC_ALL": "C"}, None),
        ("ls", {}, "always"),
        ("./own.sh", {}, None),
        ("nosuchprogram", {}, None),
        ("bash", {}, None),
        ("/bin/sh -s", {}, None),
        ("python3 -i", {}, None),
        ("curl -H 'Authorization: Bearer abcdefgh12345'", {}, None),
        ("curl sk-abcdefgh12345", {}, None),
    ],
)
def test_what_cannot_be_allowed_for_always(desk: Desk, command: str, env: dict[str, str], ask: str | None):
    script = desk.work / "own.sh"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    desk.answer("allow-once")
    desk.permit(command, env, ask=ask)
    assert desk.asked.request.allowed == ("allow-once", "deny")


def test_where_everything_is_asked_about_always_is_not_offered(desk: Desk):
    desk.set_exec(ExecSettings(security="allowlist", ask="always"))
    desk.answer("allow-once")
    desk.permit("ls")
    assert desk.asked.request.allowed == ("allow-once", "deny")
    assert (desk.asked.request.security, desk.asked.request.ask) == ("allowlist", "always")


def test_values_of_variables_are_bound_and_not_kept(desk: Desk):
    desk.answer("allow-once")
    desk.permit("ls", {"LC_ALL": "canary-one"})
    first = desk.asked.request
    desk.permit("ls", {"LC_ALL": "canary-two"})
    second = desk.asked.request
    assert first.env_names == ("LC_ALL",)
    assert first.digest != second.digest
    assert "canary" not in repr(desk.store.records)
    assert "It sets variables: LC_ALL." in first.warnings


def test_secrets_of_the_configuration_are_not_kept(desk: Desk):
    auth = dataclasses.replace(desk.settings.gateway.auth, mode="token", token="very-secret-token-123")
    gateway = dataclasses.replace(desk.settings.gateway, auth=auth)
    desk.settings = dataclasses.replace(desk.settings, gateway=gateway)
    desk.answer("allow-once")
    desk.permit("curl -u x:very-secret-token-123 http://x")
    assert "very-secret" not in repr(desk.store.records)
    assert desk.asked.request.argv is None


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("ls", "ls"),
        ("echo a\nb\tc", "echo a\nb\tc"),
        ("echo \x1b[2Krm -r /", "echo \\u{1b}[2Krm -r /"),
        ("echo a\rb", "echo a\\u{d}b"),
        ("echo \u202eabc", "echo \\u{202e}abc"),
        ("r\u200bm x", "r\\u{200b}m x"),
        ("echo é 日本", "echo é 日本"),
        ("curl -H 'Authorization: Bearer abcdef123456'", "curl -H 'Authorization: Bearer [redacted]'"),
        ("curl 'http://x/?token=abc&y=1'", "curl 'http://x/?token=[redacted]&y=1'"),
        ("curl http://x/?token=$(evil)", "curl http://x/?token=$(evil)"),
        ("curl http://x/?token=`evil`", "curl http://x/?token=`evil`"),
        ("x api_key=a;evil", "x api_key=a;evil"),
        ("x Bearer a|evil", "x Bearer a|evil"),
        ("x Bearer a>b", "x Bearer a>b"),
        ("x sk-abcdefgh12345;evil", "x [redacted];evil"),
        ("x hunter2-long y", "x [redacted] y"),
    ],
)
def test_what_is_shown_hides_nothing_a_shell_acts_on(command: str, shown: str):
    assert visible(command, ["hunter2-long"]) == shown


def test_a_very_long_command_is_not_asked_about(desk: Desk):
    desk.answer("allow-once")
    assert "too long to be approved" in desk.refusal("echo " + "x" * 20_000)
    assert desk.store.records == {}


def test_nobody_answers(desk: Desk):
    desk.set_exec(ExecSettings(approval_timeout_seconds=0.05))
    assert "approval-timeout" in desk.refusal("ls", approvals="wait")
    assert desk.events[-1].decision is None


@pytest.mark.parametrize(
    ("fallback", "mode", "command", "runs"),
    [
        ("deny", None, "ls", False),
        ("full", None, "ls > x", True),
        ("full", "deny", "ls", False),  # the caller has said so
        ("allowlist", None, "ls", False),
        ("allowlist", None, "uname", True),
    ],
)
def test_what_holds_when_nobody_can_be_asked(desk: Desk, fallback: str, mode: Any, command: str, runs: bool):
    desk.set_exec(ExecSettings(security="allowlist", ask="always"))
    desk.write(defaults={"askFallback": fallback}, agents={"main": {"allowlist": [{"pattern": "uname"}]}})
    if runs:
        desk.permit(command, approvals=mode)
    else:
        desk.refusal(command, approvals=mode)


def test_fail_ends_the_run(desk: Desk):
    desk.answer("allow-once")
    with pytest.raises(ApprovalRequired):
        desk.permit("ls", approvals="fail")
    assert isinstance(desk.cancel.error, ApprovalRequired)
    assert desk.store.records == {}


def test_a_run_over_websocket_waits_though_nobody_is_there(desk: Desk):
    desk.set_exec(ExecSettings(approval_timeout_seconds=0.05))
    assert "approval-timeout" in desk.refusal("ls", source="ws")
    for source in ("http", "cli", "agent"):
        assert "nobody who could" in desk.refusal("ls", source=source)


def test_a_run_that_is_stopped_stops_waiting(desk: Desk):
    why = RunAborted("gone")
    desk.service.listeners.append(lambda one: one.is_pending and desk.cancel.cancel(why))
    with pytest.raises(GatewayError) as caught:
        desk.permit("ls", approvals="wait")
    assert caught.value is why
    assert desk.asked.state == "cancelled"
    assert desk.pauses == ["paused", "resumed"]


def test_a_wish_of_the_model_only_adds_a_question(desk: Desk):
    assert "nobody who could" in desk.refusal("head -c 3", ask="always")
    desk.permit("head -c 3", ask="off")
    assert "nobody who could" in desk.refusal("ls", ask="off")
    desk.set_exec(ExecSettings(mode="deny"))
    assert "security=deny" in desk.refusal("ls", ask="always")
