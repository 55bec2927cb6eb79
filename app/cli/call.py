"""`python -m app call METHOD`: any method of the protocol, its answer as JSON."""

from __future__ import annotations

import argparse
import json
from typing import Any

from app.cli.exit_codes import EXIT_OK
from app.cli.options import add_gateway_options
from app.cli.output import print_json
from app.cli.remote import over_gateway
from app.client.client import GatewayClient


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_gateway_options(parser)
    parser.add_argument("method", metavar="METHOD", help="such as sessions.list; docs/websocket.md lists all")
    parser.add_argument("--params", type=json_object, default={}, metavar="JSON", help="its parameters")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Connects with the scope that the method needs; an exit code. Raises ConfigError."""
    return over_gateway(show, args.method)(args)


def show(args: argparse.Namespace, client: GatewayClient) -> int:
    """Prints the answer, with `--json` on one line; an exit code. Raises ClientError."""
    print_json(client.call(args.method, args.params, args.timeout), indent=not args.json)
    return EXIT_OK


def json_object(text: str) -> dict[str, Any]:
    """An argparse type."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError("must be a JSON object")
    return value
