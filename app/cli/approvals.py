"""`python -m app approvals`: the calls that wait for somebody's approval, and the answer."""

from __future__ import annotations

import argparse
from typing import Any

from app.cli.errors import CommandError
from app.cli.exit_codes import EXIT_OK
from app.cli.options import add_gateway_options
from app.cli.output import ago, duration, print_facts, print_json, print_table
from app.cli.remote import Command, over_gateway
from app.client.client import GatewayClient
from app.clock import now_ms

HEADINGS = ("id", "agent", "asked", "left", "what")
LISTS = ("exec.approval.list", "plugin.approval.list")


class NotApplied(CommandError):
    """Somebody else was quicker, or it is too late."""

    code = "approval_already_resolved"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="list those that wait, oldest first")
    add_gateway_options(listing)
    listing.set_defaults(run=over_gateway(show_list, *LISTS))
    for name, text, method, command in (
        ("get", "show one, also when it is over", "approval.get", show_one),
        ("allow", "let it be done", "approval.resolve", allow),
        ("deny", "do not let it be done", "approval.resolve", deny),
    ):
        _add_action(actions, name, text, method, command)


def _add_action(actions: Any, name: str, text: str, method: str, command: Command) -> None:
    action = actions.add_parser(name, help=text)
    action.add_argument("id", metavar="ID", help="as `approvals list` shows it")
    if name == "allow":
        action.add_argument(
            "--always", action="store_true", help="do not ask about the same command in this directory again"
        )
    add_gateway_options(action)
    action.set_defaults(run=over_gateway(command, method))


def show_list(args: argparse.Namespace, client: GatewayClient) -> int:
    """Prints those that wait; an exit code. Raises ClientError."""
    found = [one for method in LISTS for one in client.call(method, {}, args.timeout)]
    if args.json:
        print_json({"approvals": found})
    else:
        print_table(HEADINGS, [_row(one) for one in found])
    return EXIT_OK


def _row(one: dict[str, Any]) -> list[str]:
    request = one.get("request") or {}
    left = duration((one.get("expiresAtMs", 0) - now_ms()) / 1000)
    what = request.get("command") or request.get("title") or ""
    return [
        str(one.get("id")),
        str(request.get("agentId") or ""),
        ago(one.get("createdAtMs")),
        left,
        str(what),
    ]


def show_one(args: argparse.Namespace, client: GatewayClient) -> int:
    """Prints one; an exit code. Raises ClientError."""
    _print(args, client.call("approval.get", {"id": args.id}, args.timeout)["approval"])
    return EXIT_OK


def allow(args: argparse.Namespace, client: GatewayClient) -> int:
    """Decides one; an exit code. Raises ClientError and NotApplied."""
    return _resolve(args, client, "allow-always" if args.always else "allow-once")


def deny(args: argparse.Namespace, client: GatewayClient) -> int:
    """Decides one; an exit code. Raises ClientError and NotApplied."""
    return _resolve(args, client, "deny")


def _resolve(args: argparse.Namespace, client: GatewayClient, decision: str) -> int:
    answer = client.call("approval.resolve", {"id": args.id, "decision": decision}, args.timeout)
    approval = answer["approval"]
    if not answer.get("applied") and approval.get("decision") != decision:
        raise NotApplied(f"It is {approval.get('status')} already.")
    _print(args, approval)
    return EXIT_OK


def _print(args: argparse.Namespace, approval: dict[str, Any]) -> None:
    if args.json:
        print_json(approval)
        return
    shown = approval.get("presentation") or {}
    resolver = approval.get("resolver") or {}
    facts = {
        "id": approval.get("id"),
        "status": approval.get("status"),
        "agent": shown.get("agentId"),
        "session": shown.get("sessionKey"),
        "what": shown.get("commandText") or shown.get("title"),
        "directory": shown.get("cwd"),
        "note": shown.get("warningText") or shown.get("description"),
        "answers": ", ".join(shown.get("allowedDecisions") or ()),
        "decision": approval.get("decision"),
        "by": resolver.get("id"),
    }
    print_facts([(name, str(value)) for name, value in facts.items() if value])
