"""`python -m app logs`: the gateway's newest log lines, and with `--follow` the later ones, too."""

from __future__ import annotations

import argparse
import json
import time
from datetime import datetime
from typing import Any

from app.cli.exit_codes import EXIT_OK
from app.cli.options import add_gateway_options
from app.cli.output import one_line, print_json_text, print_text
from app.cli.remote import over_gateway
from app.client.client import GatewayClient

POLL_SECONDS = 0.5
ALREADY_SHOWN = ("ts", "level", "logger", "message")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_gateway_options(parser)
    parser.add_argument("--limit", type=int, default=200, help="how many lines (default: 200)")
    parser.add_argument("--follow", "-f", action="store_true", help="print new lines, too, until Ctrl-C")
    parser.set_defaults(run=over_gateway(show, "logs.tail"))


def show(args: argparse.Namespace, client: GatewayClient) -> int:
    """Prints lines, with `--json` as the gateway writes them, each a JSON object. Raises ClientError."""
    tail = client.call("logs.tail", {"limit": args.limit}, args.timeout)
    _print(args, tail)
    while args.follow:
        client.collect(POLL_SECONDS)
        tail = client.call("logs.tail", {"cursor": tail.get("cursor")}, args.timeout)
        _print(args, tail)
    return EXIT_OK


def _print(args: argparse.Namespace, tail: dict[str, Any]) -> None:
    for line in tail.get("lines") or []:
        if args.json:
            print_json_text(line)
        else:
            print_text(readable(line))


def readable(line: str) -> str:
    """`12:00:01 INFO app.runs: run finished run_id=…`; any other line as it is."""
    try:
        fields = json.loads(line)
        clock = _clock(fields["ts"])
        parts = [f"{clock} {fields['level'].upper():<7} {fields['logger']}: {fields['message']}"]
    except (ValueError, LookupError, TypeError, AttributeError):
        return one_line(line)
    parts += [f"{name}={value}" for name, value in fields.items() if name not in ALREADY_SHOWN]
    return one_line(" ".join(parts))


def _clock(stamp: str) -> str:
    """The gateway's UTC timestamp as this machine's time of day."""
    moment = datetime.fromisoformat(stamp)
    return time.strftime("%H:%M:%S", time.localtime(moment.timestamp()))
