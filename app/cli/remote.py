"""What all commands that ask a running gateway have in common: their options, the connection, the errors."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from typing import Any

from app.auth.method_scopes import METHOD_SCOPES
from app.auth.scopes import ADMIN, READ
from app.cli.client import CONNECT_SECONDS, GatewayClient
from app.cli.errors import ClientError
from app.cli.output import print_error
from app.cli.target import add_target_options, find_target

ANSWER_SECONDS = 30.0

Commands = Any  # argparse keeps the type of its sub-parsers to itself
Command = Callable[[argparse.Namespace, GatewayClient], int]


def add_command(
    commands: Commands, name: str, text: str, timeout: float | None = ANSWER_SECONDS
) -> argparse.ArgumentParser:
    """A command's parser, with the options that all of them have. `timeout` None: as long as it takes."""
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=f"{text}.")
    add_target_options(parser)
    parser.add_argument(
        "--timeout",
        type=seconds,
        default=timeout,
        metavar="SECONDS",
        help=f"the longest to wait for the answer{f' (default: {timeout:g})' if timeout else ''}",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def over_gateway(command: Command, *methods: str) -> Callable[[argparse.Namespace], int]:
    """`run` of a command that calls these methods: connects with the scopes they need, tells errors."""

    def run(args: argparse.Namespace) -> int:
        try:
            with connect(args, scopes_for(methods)) as client:
                return command(args, client)
        except ClientError as error:
            print_error(args, error.code, error.message)
            return error.exit_code

    return run


def connect(args: argparse.Namespace, scopes: Sequence[str]) -> GatewayClient:
    """Raises ClientError and ConfigError."""
    return GatewayClient(
        find_target(args, os.environ), scopes, min(CONNECT_SECONDS, args.timeout or CONNECT_SECONDS)
    )


def scopes_for(methods: Sequence[str]) -> list[str]:
    """The least that these methods need; a method that only other gateways have may need anything.

    A method without a scope still asks for one: no scopes at all would mean all of them.
    """
    scopes = {METHOD_SCOPES.get(name, ADMIN) for name in methods}
    return sorted(scope for scope in scopes if scope is not None) or [READ]


def seconds(text: str) -> float:
    """For argparse: a time to wait."""
    value = float(text)
    if not 0 < value <= 1_000_000:
        raise argparse.ArgumentTypeError("must be more than 0")
    return value
