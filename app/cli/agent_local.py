"""`agent --local`: the run in this process, by the same `RunService` as in a gateway."""

from __future__ import annotations

import argparse
import logging.config
import os
from functools import partial

from app.auth.principal import LOCAL_OPERATOR
from app.bootstrap import build_gateway
from app.cli.answer import AnswerPrinter
from app.cli.exit_codes import EXIT_INTERRUPTED, EXIT_OK, exit_code
from app.cli.output import print_error
from app.cli.spinner import Spinner
from app.config.loader import load_settings
from app.errors import GatewayError, RunAborted
from app.events.types import RefusalDelta, RunFailed, RunFinished, TextDelta
from app.gateway import Gateway
from app.logs.lines import logging_config
from app.messages import Message
from app.runs.intake import RunInput
from app.runs.request import RunRequest
from app.runs.run import Run

ABORT_SECONDS = 5.0


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


def _answer(args: argparse.Namespace, gateway: Gateway, text: str) -> int:
    started = gateway.runs.start(_request(args, gateway, text))
    try:
        with Spinner("waiting for the answer") as spinner:
            _show(gateway, started, AnswerPrinter(args, spinner))
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


def _show(gateway: Gateway, run: Run, printer: AnswerPrinter) -> None:
    """Prints the answer, whole or piece by piece. Raises the run's error."""
    for batch in run.follow(wake_every=1.0):
        gateway.runs.stop_overdue()  # in a running gateway its maintenance does it
        for event in batch:
            match event:
                case TextDelta(text) | RefusalDelta(text):
                    printer.print_piece(text)
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
