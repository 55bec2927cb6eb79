"""The options of every command that asks a running gateway. Imports argparse alone, to be quick."""

from __future__ import annotations

import argparse

ANSWER_SECONDS = 30.0
MAX_SECONDS = 1_000_000
SECRET_KINDS = ("token", "password")
TARGET_OPTIONS = ("url", *SECRET_KINDS)


def add_gateway_options(parser: argparse.ArgumentParser, timeout: float | None = ANSWER_SECONDS) -> None:
    """Which gateway, with which secret, how long to wait (`timeout` None: without limit), and `--json`."""
    add_target_options(parser)
    parser.add_argument(
        "--timeout",
        type=seconds,
        default=timeout,
        metavar="SECONDS",
        help=f"the longest to wait for the answer{f' (default: {timeout:g})' if timeout else ''}",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def add_target_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--url", help="the gateway's address, ws:// or http:// (default: as the configuration says)"
    )
    parser.add_argument("--token", help="the gateway's token; better: OPENCLAW_GATEWAY_TOKEN")
    parser.add_argument("--password", help="the gateway's password; better: OPENCLAW_GATEWAY_PASSWORD")


def seconds(text: str) -> float:
    """An argparse type: a time to wait."""
    value = float(text)
    if not 0 < value <= MAX_SECONDS:
        raise argparse.ArgumentTypeError("must be more than 0")
    return value
