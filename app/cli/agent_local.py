"""`agent --local`: the run in this process, by the same `RunService` as in a gateway."""

from __future__ import annotations

import argparse
import logging.config
import os
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from app.auth.principal import LOCAL_OPERATOR
from app.bootstrap import build_gateway
from app.cli.answer import AnswerPrinter
from app.cli.approver import ask, is_interactive
from app.cli.asker import ask_questions
from app.cli.exit_codes import EXIT_INTERRUPTED, EXIT_OK, exit_code
from app.cli.output import print_error
from app.cli.spinner import Spinner
from app.config.loader import load_settings
from app.errors import GatewayError, InvalidRequest, RunAborted
from app.events.types import RefusalDelta, RunFailed, RunFinished, TextDelta, ToolCalled, ToolReturned
from app.gateway import Gateway
from app.logs.lines import logging_config
from app.messages import Message
from app.runs.intake import RunInput
from app.runs.request import RunRequest
from app.runs.run import Run
from app.tools.approvals.record import Approval, Resolver
from app.tools.approvals.snapshot import request_of
from app.tools.display import call_summary, shown_arguments
from app.tools.questions.record import Asked, dump_asked, load_answers

ABORT_SECONDS = 5.0
TERMINAL = Resolver("runtime", "terminal")


def run(args: argparse.Namespace, text: str) -> int:
    """Starts a run and prints its answer; an exit code. Raises ConfigError."""
    load = partial(load_settings, os.environ)
    settings = load()
    logging.config.dictConfig(logging_config("info" if args.verbose else "error", settings.logging.format))
    gateway = build_gateway(settings, load)
    try:
        return _answer(args, gateway, text)
    except GatewayError as error:
        print_error(args, error.code, error.message)
        return exit_code(error)
    finally:
        gateway.close()


class LocalApprover:
    """Asks at the terminal, if there is one, about what the runs of this process want to do."""

    def __init__(self, gateway: Gateway) -> None:
        self._approvals = gateway.tools.approvals
        self._questions = gateway.tools.questions
        self._asked: deque[Approval | Asked] = deque()
        if is_interactive():
            self._approvals.approvers.append(lambda _: True)
            self._approvals.listeners.append(self._asked.append)
            self._questions.answerers.append(lambda _: True)
            self._questions.listeners.append(self._asked.append)

    def ask(self, spinner: Spinner) -> None:
        """Ask about each that waits."""
        while self._asked:
            approval = self._asked.popleft()
            if isinstance(approval, Asked):
                if approval.is_pending and self._questions.get(approval.id).is_pending:
                    spinner.stop()
                    self._answer(approval)
            elif approval.is_pending and not self._is_over(approval):
                spinner.stop()
                self._ask(approval)

    def _ask(self, approval: Approval) -> None:
        decision = ask(request_of(approval.request), lambda: self._is_over(approval))
        if decision is not None:
            with suppress(InvalidRequest):  # it was decided at the same moment
                self._approvals.resolve(approval.id, decision, TERMINAL)  # type: ignore[arg-type]

    def _answer(self, asked: Asked) -> None:
        answers = ask_questions(dump_asked(asked), lambda: not self._questions.get(asked.id).is_pending)
        with suppress(InvalidRequest):  # it ended at the same moment
            if answers:
                self._questions.answer(asked.id, load_answers(asked, answers), TERMINAL.id)
            elif answers is not None:
                self._questions.cancel(asked.id, TERMINAL.id)

    def _is_over(self, approval: Approval) -> bool:
        self._approvals.sweep()  # in a running gateway its maintenance does it
        return not self._approvals.get(approval.id).is_pending


def _answer(args: argparse.Namespace, gateway: Gateway, text: str) -> int:
    approver = LocalApprover(gateway)
    started = gateway.runs.start(_request(args, gateway, text))
    try:
        with Spinner("waiting for the answer") as spinner:
            _show(gateway, started, AnswerPrinter(args, spinner), lambda: approver.ask(spinner))
    except KeyboardInterrupt:
        started.abort(RunAborted("Interrupted."))
        gateway.drain(ABORT_SECONDS)
        return EXIT_INTERRUPTED
    return EXIT_OK


def _request(args: argparse.Namespace, gateway: Gateway, text: str) -> RunRequest:
    return gateway.intake.load(
        RunInput(
            source="cli",
            key_rules="caller",
            principal=LOCAL_OPERATOR,
            messages=(Message("user", text),),
            agent_id=args.agent,
            session_key=args.session_key,
            timeout_seconds=args.timeout,
        )
    )


def _show(gateway: Gateway, run: Run, printer: AnswerPrinter, ask_for: Callable[[], object]) -> None:
    """Prints the answer, whole or piece by piece; calls `ask_for` whenever something has happened, and each
    second. Raises the run's error.
    """
    summaries: dict[str, str | None] = {}
    for batch in run.follow(wake_every=1.0):
        gateway.runs.stop_overdue()  # in a running gateway its maintenance does it
        ask_for()
        for event in batch:
            match event:
                case TextDelta(text) | RefusalDelta(text):
                    printer.print_piece(text)
                case ToolCalled(call):
                    summaries[call.id] = call_summary(shown_arguments(call))
                case ToolReturned(call_id, name, seconds=seconds, is_error=failed):
                    printer.print_tool(name, summaries.pop(call_id, None), seconds, failed=failed)
                case RunFailed():
                    printer.fail()
                    raise event.as_error()
                case RunFinished():
                    printer.finish(_document(run, printer.text, event))


def _document(run: Run, text: str, end: RunFinished) -> dict[str, object]:
    return {
        "runId": run.id,
        "agent": run.agent.id,
        "sessionKey": run.session_key,
        "text": text,
        "finishReason": end.reason,
        "usage": {
            "promptTokens": end.usage.prompt_tokens,
            "completionTokens": end.usage.completion_tokens,
            "totalTokens": end.usage.total_tokens,
            "estimated": end.usage.estimated,
        },
    }
