"""`python -m app config check` and `config show`."""

from __future__ import annotations

import argparse
import json
import os
import sys

from app.cli.exit_codes import EXIT_CONFIG, EXIT_OK
from app.cli.output import print_json_text, print_text
from app.config.loader import load_settings
from app.config.settings import Settings
from app.config.shown.redact import redact
from app.errors import ConfigError
from app.start import check_whole_start, check_workers, worker_count
from app.storage.ephemeral import why_ephemeral


def add_arguments(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    for name, run, text in (
        ("check", check, "check the configuration, and exit with 78 if it is wrong"),
        ("show", show, "print the configuration that is used, without secrets"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("--json", action="store_true", help="print a JSON object")
        command.set_defaults(run=run)


def check(args: argparse.Namespace) -> int:
    """Prints `ok` and the notes, or every reason why a gateway does not start, on standard error."""
    try:
        workers = worker_count(os.environ)
        settings = load_settings(os.environ)
        check_whole_start(settings)
        check_workers(workers, settings)
    except ConfigError as error:
        return _refuse(error, as_json=args.json)
    lost = why_ephemeral(settings.storage_url, os.environ)
    notes = [*settings.notes, *([lost] if lost else [])]
    file = str(settings.config_path) if settings.config_path else None
    if args.json:
        print_json_text(json.dumps({"ok": True, "file": file, "notes": notes}, indent=2))
        return EXIT_OK
    print(f"ok: {file or 'built-in defaults'}")
    for note in notes:
        print_text(f"note: {note}")
    return EXIT_OK


def show(args: argparse.Namespace) -> int:
    """Prints the configuration as JSON; with `--json` on one line."""
    try:
        settings = load_settings(os.environ)
    except ConfigError as error:
        return _refuse(error, as_json=args.json)
    print_json_text(_dump(settings, indent=None if args.json else 2))
    return EXIT_OK


def _dump(settings: Settings, indent: int | None) -> str:
    return json.dumps(redact(settings), indent=indent, ensure_ascii=False)


def _refuse(error: ConfigError, *, as_json: bool) -> int:
    if as_json:
        problems = error.problems or [error.message]
        print_json_text(json.dumps({"ok": False, "problems": problems}, indent=2))
    else:
        print_text(error.message, file=sys.stderr)
    return EXIT_CONFIG
