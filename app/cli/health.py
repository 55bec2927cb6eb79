"""`python -m app health`: does the gateway answer, and which agents does it have?"""

from __future__ import annotations

import argparse
import time

from app.cli.exit_codes import EXIT_FAILED, EXIT_OK
from app.cli.options import add_gateway_options
from app.cli.output import print_facts, print_json
from app.cli.remote import over_gateway
from app.client.client import GatewayClient


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_gateway_options(parser)
    parser.set_defaults(run=over_gateway(show, "health"))


def show(args: argparse.Namespace, client: GatewayClient) -> int:
    """Prints the answer; an exit code. Raises ClientError."""
    sent_at = time.monotonic()
    health = client.call("health", timeout=args.timeout)
    took = (time.monotonic() - sent_at) * 1000
    healthy = bool(health.get("ok"))
    if args.json:
        print_json(health)
    else:
        agents = [
            f"{one.get('agentId')} (default)" if one.get("isDefault") else str(one.get("agentId"))
            for one in health.get("agents") or []
        ]
        print_facts(
            [
                ("health", "ok" if healthy else "not ok"),
                ("gateway", f"{client.url} answered in {took:.0f} ms"),
                ("agents", ", ".join(agents)),
                ("sessions", str((health.get("sessions") or {}).get("count", ""))),
            ]
        )
    return EXIT_OK if healthy else EXIT_FAILED
