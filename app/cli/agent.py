"""`python -m app agent`: one message to an agent, its answer on standard output.

A running gateway answers; with `--local` this process does, by the same `RunService`.
"""

from __future__ import annotations

import argparse
import sys

from app.cli.agent_local import answer_locally
from app.cli.agent_remote import answer_by_gateway
from app.cli.client import GatewayClient
from app.cli.errors import WrongUse
from app.cli.output import print_error
from app.cli.remote import Commands, add_command, over_gateway
from app.cli.target import TARGET_OPTIONS


def add_commands(commands: Commands) -> None:
    parser = add_command(commands, "agent", "Send a message to an agent and print its answer", timeout=None)
    parser.epilog = (
        "exit codes: 0 answered, 1 the run failed, 2 wrong use, 75 try again later, 78 configuration or "
        "secret, 130 interrupted"
    )
    parser.add_argument("--message", "-m", required=True, help="what to say; - reads standard input")
    parser.add_argument("--agent", help="the agent's id (default: the default agent)")
    parser.add_argument(
        "--session-key", help="the session to go on with (default: the agent's main one; with --local none)"
    )
    parser.add_argument("--stream", action="store_true", help="print the answer as it comes")
    parser.add_argument(
        "--local", action="store_true", help="answer in this process instead of asking a gateway"
    )
    parser.add_argument("--verbose", "-v", action="store_true", help="with --local: log to standard error")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    try:
        text = _message(args)
        if args.local:
            _refuse_target(args)
            return answer_locally(args, text)
    except WrongUse as error:
        print_error(args, error.code, error.message)
        return error.exit_code

    def ask(args: argparse.Namespace, client: GatewayClient) -> int:
        return answer_by_gateway(args, client, text)

    return over_gateway(ask, "agent", "chat.abort")(args)


def _message(args: argparse.Namespace) -> str:
    try:
        text: str = sys.stdin.read() if args.message == "-" else args.message
        text.encode()  # an argument's stray bytes are lone surrogates, which nothing further on can take
    except UnicodeError as error:
        raise WrongUse("The message is not valid UTF-8.") from error
    if not text.strip():
        raise WrongUse("The message is empty.")
    return text


def _refuse_target(args: argparse.Namespace) -> None:
    named = [f"--{name}" for name in TARGET_OPTIONS if getattr(args, name)]
    if named:
        raise WrongUse(f"--local asks no gateway: it does not go with {', '.join(named)}.")
