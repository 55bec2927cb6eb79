"""`python -m app sessions`: the stored sessions, newest first; and `sessions copy`."""

from __future__ import annotations

import argparse
from importlib import import_module
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
    text = "copy the sessions of one database into another, without a gateway"
    actions = parser.add_subparsers(title="actions", metavar="ACTION")
    copying = actions.add_parser("copy", help=text, description=text)
    copying.add_argument(
        "--from", dest="source", metavar="URL", required=True, help="sqlite:… or postgresql:…"
    )
    copying.add_argument("--to", dest="target", metavar="URL", help="default: DATABASE_URL, or storage.url")
    copying.add_argument("--json", action="store_true", help="print a JSON object")
    copying.set_defaults(run=copy)


def copy(args: argparse.Namespace) -> int:
    """Runs `sessions copy`, with all that it takes to open a database; an exit code."""
    code: int = import_module("app.cli.sessions_copy").run(args)
    return code


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
