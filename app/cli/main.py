"""The command line's parser: one command a file, each adding itself."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from app import VERSION
from app.cli import agent, call, config, health, logs, models, sessions, status
from app.cli.exit_codes import EXIT_CONFIG, EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USAGE
from app.errors import ConfigError


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and gives back its exit code."""
    parser = build_parser()
    parsed = parser.parse_args(arguments)
    if not hasattr(parsed, "run"):
        parser.print_help(sys.stderr)
        return EXIT_USAGE
    try:
        code: int = parsed.run(parsed)
        return code
    except ConfigError as error:
        print(
            "\n".join([f"error: {error.message}", *(f"  {line}" for line in error.problems)]), file=sys.stderr
        )
        return EXIT_CONFIG
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # whoever reads our output has had enough; Python would complain at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m app", description="The OpenClaw Gateway's command line.")
    parser.add_argument("--version", action="version", version=VERSION)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for command in (agent, health, status, sessions, logs, call, config, models):
        command.add_commands(commands)
    return parser
