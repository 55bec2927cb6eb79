"""`python -m app agent`: one message to an agent, its answer on standard output.

The run goes through the same `RunService` as a request over HTTP, in this process.
"""

from __future__ import annotations

import argparse
import logging.config
import os
import sys
from functools import partial
from typing import Any

import orjson

from app.bootstrap import Gateway, build_gateway
from app.cli.exit_codes import EXIT_INTERRUPTED, EXIT_OK, exit_code
from app.cli.spinner import Spinner
from app.config.loader import load_settings
from app.errors import GatewayError, InvalidRequest, MissingMessage, RunAborted
from app.events.types import RunFailed, RunFinished, TextDelta
from app.logs import logging_config
from app.messages import Message
from app.routing.resolve import resolve_agent, resolve_session
from app.runs.request import RunRequest
from app.runs.run import Run

Commands = Any  # argparse keeps the type of its sub-parsers to itself


def add_commands(commands: Commands) -> None:
    parser = commands.add_parser(
        "agent",
        help="send a message to an agent and print its answer",
        epilog="exit codes: 0 answered, 1 the run failed, 2 wrong use, 75 try again later, 78 configuration, "
        "130 interrupted",
    )
    parser.add_argument("--message", "-m", required=True, help="what to say; - reads standard input")
    parser.add_argument("--agent", help="the agent's id (default: the default agent)")
    parser.add_argument("--session-key", help="the stored session to go on with (default: none is stored)")
    parser.add_argument("--json", action="store_true", help="print the answer as a JSON object")
    parser.add_argument("--stream", action="store_true", help="print the answer as it comes")
    parser.add_argument("--verbose", "-v", action="store_true", help="log to standard error")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    load = partial(load_settings, os.environ)
    settings = load()
    logging.config.dictConfig(logging_config("info" if args.verbose else "error", settings.logging.format))
    gateway = build_gateway(settings, load)
    try:
        return _answer(args, gateway)
    except GatewayError as error:
        _print_error(args, error)
        return exit_code(error)
    finally:
        gateway.close()


def _answer(args: argparse.Namespace, gateway: Gateway) -> int:
    started = gateway.runs.start(_request(args, gateway))
    try:
        with Spinner("waiting for the answer") as spinner:
            _show(args, started, spinner)
    except KeyboardInterrupt:
        started.abort(RunAborted("Interrupted."))
        gateway.drain(5.0)
        return EXIT_INTERRUPTED
    return EXIT_OK


def _request(args: argparse.Namespace, gateway: Gateway) -> RunRequest:
    text = _message(args)
    if not text.strip():
        raise MissingMessage("The message is empty.")
    settings = gateway.settings
    agent_id = resolve_agent(None, args.agent, settings.agents)
    route = resolve_session(agent_id, None, args.session_key, settings.session.main_key)
    return RunRequest(route=route, messages=(Message("user", text),), source="cli")


def _message(args: argparse.Namespace) -> str:
    try:
        text: str = sys.stdin.read() if args.message == "-" else args.message
        text.encode()  # an argument's stray bytes are lone surrogates, which nothing further on can take
    except UnicodeError as error:
        raise InvalidRequest("The message is not valid UTF-8.") from error
    return text


def _show(args: argparse.Namespace, run: Run, spinner: Spinner) -> None:
    """Prints the answer, whole or piece by piece. Raises the run's error."""
    pieces: list[str] = []
    for batch in run.follow():
        for event in batch:
            match event:
                case TextDelta(text):
                    pieces.append(text)
                    if args.stream:
                        spinner.stop()
                        _print_piece(args, text)
                case RunFailed(error):
                    spinner.stop()
                    if args.stream and pieces and not args.json:
                        print()
                    raise error
                case RunFinished():
                    spinner.stop()
                    _print_end(args, run, "".join(pieces), event)


def _print_piece(args: argparse.Namespace, text: str) -> None:
    if args.json:
        _print_json({"type": "delta", "text": text})
    else:
        print(text, end="", flush=True)


def _print_end(args: argparse.Namespace, run: Run, text: str, end: RunFinished) -> None:
    if not args.json:
        print("" if args.stream else text)
        return
    document = {
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
    _print_json({"type": "final", **document} if args.stream else document)


def _print_json(document: dict[str, Any]) -> None:
    print(orjson.dumps(document).decode(), flush=True)


def _print_error(args: argparse.Namespace, error: GatewayError) -> None:
    if args.json:
        _print_json({"error": {"code": error.code, "message": error.message}})
    print(f"error: {error.message}", file=sys.stderr)
