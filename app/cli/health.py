"""`python -m app health`: does the gateway answer, and what does it serve?"""

from __future__ import annotations

import argparse
import time

from app.cli.client import GatewayClient
from app.cli.exit_codes import EXIT_FAILED, EXIT_OK
from app.cli.output import print_facts, print_json
from app.cli.remote import Commands, add_command, over_gateway


def add_commands(commands: Commands) -> None:
    parser = add_command(commands, "health", "Ask whether the gateway is well")
    parser.set_defaults(run=over_gateway(show, "health"))


def show(args: argparse.Namespace, client: GatewayClient) -> int:
    asked = time.monotonic()
    health = client.call("health", timeout=args.timeout)
    took = (time.monotonic() - asked) * 1000
    well = bool(health.get("ok"))
    if args.json:
        print_json(health)
    else:
        agents = [
            f"{one.get('agentId')} (default)" if one.get("isDefault") else str(one.get("agentId"))
            for one in health.get("agents") or []
        ]
        print_facts(
            [
                ("health", "ok" if well else "not ok"),
                ("gateway", f"{client.target.url} answered in {took:.0f} ms"),
                ("agents", ", ".join(agents)),
                ("sessions", str((health.get("sessions") or {}).get("count", ""))),
            ]
        )
    return EXIT_OK if well else EXIT_FAILED
