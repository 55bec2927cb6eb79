"""`python -m app migrate`: the session database's tables as this version needs them.

A gateway does the same when it first uses its database. A deployment that does it before (`release:` in the
Procfile) finds out what is wrong while the version before still serves.
"""

from __future__ import annotations

import argparse
import os
from contextlib import closing

from app.bootstrap import build_database
from app.cli.exit_codes import EXIT_OK, exit_code
from app.cli.output import print_error, print_json, print_text
from app.config.loader import load_settings
from app.errors import StorageUnavailable
from app.storage.url import check_url, shown_place


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Prints what it did; an exit code. Raises ConfigError."""
    url = load_settings(os.environ).storage_url
    check_url(url)
    place = shown_place(url)
    try:
        with closing(build_database(url)[0]) as database:
            before, now = database.migrate()
    except StorageUnavailable as error:
        print_error(args, error.code, error.message)
        return exit_code(error)
    if args.json:
        print_json({"database": place, "from": before, "to": now})
    elif before == now:
        print_text(f"{place}: has version {now} already, nothing to do")
    elif before is None:
        print_text(f"{place}: was empty, and has the tables of version {now}")
    else:
        print_text(f"{place}: migrated from version {before} to {now}")
    return EXIT_OK
