"""The command line: a table of commands, of which only the chosen one is imported."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from app import VERSION
from app.cli.exit_codes import EXIT_CONFIG, EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USAGE
from app.errors import ConfigError

# Name -> one line of help. `app/cli/<name>.py` has `add_arguments(parser)`, which sets `run` as a default of
# the parser: a function from the parsed arguments to an exit code.
COMMANDS = {
    "agent": "Send a message to an agent and print its answer",
    "health": "Check whether the gateway answers and works",
    "status": "Show the gateway, its model and its newest sessions",
    "sessions": "List, show, copy and delete the stored sessions",
    "logs": "Show the gateway's log",
    "approvals": "List the calls that wait for approval, and allow or deny them",
    "call": "Call a method of the Gateway protocol and print its answer",
    "config": "Check or show the configuration",
    "models": "List the models that agents can use",
    "mcp": "List MCP servers and their tools, and call these",
    "migrate": "Bring the session database to this version's tables",
}


def main(
    arguments: Sequence[str] | None = None, before_local_run: Callable[[], object] = lambda: None
) -> int:
    """Runs one command; its exit code. Exits by itself after `--help`, `--version` and wrong arguments.

    `before_local_run` is called before anything is imported that an agent needs in this process.
    """
    words = sys.argv[1:] if arguments is None else arguments
    parser = build_parser(words)
    parsed = parser.parse_args(words)
    if not hasattr(parsed, "run"):
        parser.print_help(sys.stderr)
        return EXIT_USAGE
    if getattr(parsed, "local", False):
        before_local_run()
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
    except BrokenPipeError:  # the reader of our output has gone; Python would complain about it at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED


def build_parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    """The parser for these arguments: of all commands, only the chosen one has its options."""
    parser = argparse.ArgumentParser(prog="python -m app", description="The OpenClaw Gateway's command line.")
    parser.add_argument("--version", action="version", version=VERSION)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    # No option before the command takes a value, so the first argument that is no option is the command.
    chosen = next((word for word in arguments if not word.startswith("-")), None)
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=f"{text}.")
        if name == chosen:
            import_module(f"app.cli.{name}").add_arguments(command)
    return parser
