"""`python -m app agent`: one message to an agent, its answer on standard output.

A running gateway answers (app/cli/agent_remote.py); with `--local` this process does, by the same
`RunService` (app/cli/agent_local.py). Only the one that is needed is imported, after parsing.
"""

from __future__ import annotations

import argparse
import sys
from importlib import import_module

from app.cli.errors import WrongUse
from app.cli.exit_codes import exit_code
from app.cli.options import TARGET_OPTIONS, add_gateway_options
from app.cli.output import print_error


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_gateway_options(parser, timeout=None)
    parser.epilog = (
        "exit codes: 0 answered, 1 the run failed, 2 wrong use, 75 try again later, 78 configuration or "
        "secret, 130 interrupted"
    )
    parser.add_argument("--message", "-m", help="the message; - reads standard input")
    parser.add_argument(
        "--explain",
        action="store_true",
        help="ask nobody: show the prompt and the tools of the agent, and why",
    )
    parser.add_argument("--agent", help="the agent's id (default: the default agent)")
    parser.add_argument(
        "--session-key", help="the session to continue (default: the agent's main one; with --local none)"
    )
    parser.add_argument("--stream", action="store_true", help="print the answer as it arrives")
    parser.add_argument(
        "--quiet", "-q", action="store_true", help="no lines on standard error about what the agent does"
    )
    parser.add_argument(
        "--local", action="store_true", help="answer in this process instead of asking a gateway"
    )
    parser.add_argument("--verbose", "-v", action="store_true", help="with --local: log to standard error")
    parser.set_defaults(run=run, wrong_use=parser.error)


def run(args: argparse.Namespace) -> int:
    """Raises ConfigError."""
    if args.message is None and not args.explain:
        args.wrong_use("the following arguments are required: --message/-m")
    try:
        text = _message(args)
        if args.local or args.explain:
            _refuse_target(args)
    except WrongUse as error:
        print_error(args, error.code, error.message)
        return exit_code(error)
    kind = "explain" if args.explain else "local" if args.local else "remote"
    answer = import_module(f"app.cli.agent_{kind}")
    code: int = answer.run(args, text)
    return code


def _message(args: argparse.Namespace) -> str:
    if args.explain:
        return ""
    try:
        text: str = sys.stdin.read() if args.message == "-" else args.message
        text.encode()  # an argument's invalid bytes are lone surrogates here, which no later step accepts
    except UnicodeError as error:
        raise WrongUse("The message is not valid UTF-8.") from error
    if not text.strip():
        raise WrongUse("The message is empty.")
    return text


def _refuse_target(args: argparse.Namespace) -> None:
    given = [f"--{name}" for name in TARGET_OPTIONS if getattr(args, name)]
    if given:
        option = "--explain" if args.explain else "--local"
        raise WrongUse(f"{option} asks no gateway: it does not go with {', '.join(given)}.")
