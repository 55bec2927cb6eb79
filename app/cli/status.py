"""`python -m app status`: the gateway's version and uptime, its model, its newest sessions."""

from __future__ import annotations

import argparse
from typing import Any

from app.cli.exit_codes import EXIT_OK
from app.cli.options import add_gateway_options
from app.cli.output import ago, duration, model_name, print_facts, print_json
from app.cli.remote import over_gateway
from app.client.client import GatewayClient

RECENT = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_gateway_options(parser)
    parser.set_defaults(run=over_gateway(show, "status"))


def show(args: argparse.Namespace, client: GatewayClient) -> int:
    """Prints the answer; an exit code. Raises ClientError."""
    status = client.call("status", timeout=args.timeout)
    gateway = describe_gateway(client)
    if args.json:
        print_json({"gateway": gateway, **status})
        return EXIT_OK
    sessions = status.get("sessions") or {}
    facts = [
        ("gateway", gateway["url"]),
        ("version", f"{gateway['version']}, protocol {gateway['protocol']}"),
        ("up for", duration((gateway["uptimeMs"] or 0) / 1000)),
        ("model", model_name(sessions.get("defaults") or {})),
        ("sessions", str(sessions.get("count", ""))),
    ]
    facts += [("recent", _line(one)) for one in (sessions.get("recent") or [])[:RECENT]]
    print_facts(facts)
    return EXIT_OK


def describe_gateway(client: GatewayClient) -> dict[str, Any]:
    """The `gateway` of `status --json`."""
    hello = client.hello
    return {
        "url": client.url,
        "version": (hello.get("server") or {}).get("version"),
        "protocol": hello.get("protocol"),
        "uptimeMs": (hello.get("snapshot") or {}).get("uptimeMs"),
    }


def _line(session: dict[str, Any]) -> str:
    return f"{session.get('key')} ({ago(session.get('updatedAt'))})"
