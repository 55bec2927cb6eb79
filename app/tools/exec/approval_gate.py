"""The gate before commands: rules, allowlist, and somebody who is asked (docs/approvals.md)."""

from __future__ import annotations

import logging
from typing import Literal

import msgspec

from app.clock import now_ms
from app.config.shown.redact import SecretsOf
from app.config.tool_settings import ExecSettings
from app.logs.lines import log_event
from app.tools.approvals.ask import ask
from app.tools.approvals.base import DocumentStore
from app.tools.approvals.document import EMPTY, AllowlistEntry, ApprovalsDocument
from app.tools.approvals.record import MAX_COMMAND, Approval, ApprovalRequest
from app.tools.approvals.service import ApprovalService
from app.tools.base import Invocation, ToolBlocked
from app.tools.exec.describe import describe, digest_of, is_inside, runs_its_input, runs_own_script
from app.tools.exec.gate import ExecRequest
from app.tools.exec.permission import Analysis, Rules, Verdict, analyse, decide, strictest

logger = logging.getLogger("app.approvals")

HEADLESS = (
    "exec denied: this command needs an approval, and nobody who could give it is there to be asked. "
    "Do without it, use a command that needs none, or tell the user what you would run and why."
)


class _Judged(msgspec.Struct, frozen=True):
    """A command as the settings and the document see it now."""

    settings: ExecSettings
    document: ApprovalsDocument
    rules: Rules
    analysis: Analysis
    verdict: Verdict


class ApprovalGate:
    """Implements `ExecGate`."""

    def __init__(self, approvals: ApprovalService, documents: DocumentStore) -> None:
        self._approvals = approvals
        self._documents = documents
        self._secrets_of = SecretsOf()

    def permit(self, call: Invocation, request: ExecRequest) -> None:
        """See `ExecGate`. Raises, besides, what `ask` raises."""
        judged = self._judge(call, request)
        if judged.verdict is Verdict.DENY:
            raise self._denied(call, request, _why_denied(judged))
        if judged.verdict is Verdict.ASK:
            self._ask(call, request, judged)

    def _judge(self, call: Invocation, request: ExecRequest) -> _Judged:
        settings = call.run.agent.tools.exec
        document = self._documents.read() or EMPTY
        policy = document.policy(call.run.agent_id)
        security, ask = settings.rule
        rules = ((security, ask), (policy.security or security, policy.ask or ask))
        analysis = analyse(request, settings, document.allowlist(call.run.agent_id))
        verdict = decide(rules, request.ask, analysis.is_allowed)
        return _Judged(settings, document, rules, analysis, verdict)

    def _ask(self, call: Invocation, request: ExecRequest, judged: _Judged) -> None:
        if len(request.command) > MAX_COMMAND:
            raise self._denied(
                call, request, "exec denied: the command is too long to be approved; put it into a script."
            )
        asked = self._describe(call, request, judged)
        over = ask(self._approvals, call, asked, judged.settings.approval_timeout_seconds)
        if over is None or over.state == "expired":
            if call.run.approvals != "deny" and self._falls_back(call, judged):
                return
            raise self._denied(call, request, HEADLESS if over is None else _answer(over, "approval-timeout"))
        if over.state != "allowed":
            why = "user-denied" if over.state == "denied" else "cancelled"
            raise self._denied(call, request, _answer(over, why))
        self._check_again(call, request, over)
        if over.decision == "allow-always":
            self._remember(asked)

    def _describe(self, call: Invocation, request: ExecRequest, judged: _Judged) -> ApprovalRequest:
        analysis, folder = judged.analysis, call.run.agent.workspace
        is_own = any(
            (segment.program is not None and is_inside(segment.program.real_path, folder))
            or runs_own_script(segment, request.workdir, folder)
            for segment in analysis.segments
        )
        is_open = any(runs_its_input(segment) for segment in analysis.segments)
        asked = describe(
            call,
            request,
            analysis,
            self._secrets_of(call.run.settings()),
            can_be_remembered=not (is_own or is_open)
            and decide(judged.rules, request.ask, True) is Verdict.ALLOW,
        )
        security, ask = strictest(judged.rules)
        return msgspec.structs.replace(asked, security=security, ask=ask)

    def _falls_back(self, call: Invocation, judged: _Judged) -> bool:
        """Whether the document lets it run although nobody could be asked, or nobody has answered."""
        fallback: Literal["deny", "allowlist", "full"] = (
            judged.document.policy(call.run.agent_id).ask_fallback or "deny"
        )
        if fallback == "deny" or (fallback == "allowlist" and not judged.analysis.is_allowed):
            return False
        log_event(logger, logging.WARNING, "run without an answer", fallback=fallback, run_id=call.run.run_id)
        return True

    def _check_again(self, call: Invocation, request: ExecRequest, over: Approval) -> None:
        """What was approved is what is run, and what is in force now still lets it be asked about."""
        now = self._judge(call, request)
        if digest_of(request, now.analysis) != over.request.digest:
            raise self._denied(
                call, request, "exec denied: the program has changed while the approval was waited for."
            )
        if request.workdir.resolve() != request.workdir:
            raise self._denied(
                call, request, "exec denied: the directory has changed while the approval was waited for."
            )
        if now.verdict is Verdict.DENY:
            raise self._denied(call, request, _why_denied(now))

    def _remember(self, asked: ApprovalRequest) -> None:
        assert asked.argv is not None
        entry = AllowlistEntry(
            pattern=asked.resolved_path or asked.argv[0],
            source="allow-always",
            argv=asked.argv,
            cwd=asked.directory,
            command_text=asked.command,
            last_used_at=now_ms(),
        )
        self._documents.update(lambda document: document.with_entry(asked.agent_id, entry))

    def _denied(self, call: Invocation, request: ExecRequest, why: str) -> ToolBlocked:
        log_event(
            logger,
            logging.INFO,
            "command denied",
            agent=call.run.agent_id,
            run_id=call.run.run_id,
            command=request.command,
            why=why.partition(":")[2].strip()[:200],
        )
        return ToolBlocked(why)


def _why_denied(judged: _Judged) -> str:
    if any(security == "deny" for security, _ in judged.rules):
        return "exec denied: host=gateway security=deny"
    return "exec denied: allowlist miss"


def _answer(over: Approval, why: str) -> str:
    return f"Exec denied (gateway id={over.id}, {why}): {over.request.command}"
