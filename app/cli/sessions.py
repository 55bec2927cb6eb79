"""`python -m app sessions`: the stored sessions, newest first."""

from __future__ import annotations

import argparse
from typing import Any

from app.cli.exit_codes import EXIT_OK
from app.cli.options import add_gateway_options
from app.cli.output import ago, model_name, print_json, print_table
from app.cli.remote import over_gateway
from app.client.client import GatewayClient

HEADINGS = ("session", "updated", "model", "tokens", "label")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_gateway_options(parser)
    parser.add_argument("--limit", type=int, default=50, help="how many at most (default: 50)")
    parser.add_argument("--active", type=int, metavar="MINUTES", help="only those used in so many minutes")
    parser.add_argument("--agent", help="only this agent's")
    parser.set_defaults(run=over_gateway(show, "sessions.list"))


def show(args: argparse.Namespace, client: GatewayClient) -> int:
    """Prints the answer; an exit code. Raises ClientError."""
    given = {"limit": args.limit, "activeMinutes": args.active, "agentId": args.agent}
    params = {name: value for name, value in given.items() if value is not None}
    listed = client.call("sessions.list", params, args.timeout)
    if args.json:
        print_json(listed)
    else:
        print_table(HEADINGS, [_row(session) for session in listed.get("sessions") or []])
    return EXIT_OK


def _row(session: dict[str, Any]) -> list[str]:
    label = session.get("label") or session.get("displayName") or ""
    tokens = session.get("totalTokens")
    return [
        str(session.get("key", "")),
        ago(session.get("updatedAt")),
        model_name(session),
        "" if tokens is None else str(tokens),
        str(label),
    ]
