"""`python -m app sessions copy`: the stored sessions of one database into another."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from app.bootstrap import build_database
from app.cli.exit_codes import EXIT_FAILED, EXIT_OK, exit_code
from app.cli.output import one_line, print_error, print_json, print_text
from app.config.loader import load_settings
from app.errors import ConfigError, InvalidRequest, StorageUnavailable
from app.sessions.copying import Copied, SessionCopy, conflicts
from app.sessions.maintenance import SqlMaintenance
from app.storage.base import Database
from app.storage.url import check_url, is_postgres, shown_place, sqlite_file

SHOWN = 20  # keys in a message


def run(args: argparse.Namespace) -> int:
    """Copies, and prints what was copied and what was not; an exit code. Raises ConfigError."""
    source_url = args.source
    target_url = args.target or load_settings(os.environ).storage_url
    try:
        _check(source_url, target_url)
        with ExitStack() as stack:
            source = stack.enter_context(_opened(source_url))
            target = stack.enter_context(_opened(target_url))
            _refuse_conflicts(source, target, shown_place(target_url))
            copied = SessionCopy(source, target, _progress(args)).run()
    except (StorageUnavailable, InvalidRequest) as error:
        print_error(args, error.code, error.message)
        return exit_code(error)
    _show(args, copied)
    return EXIT_FAILED if copied.left else EXIT_OK


def _check(source: str, target: str) -> None:
    for option, url in (("--from", source), ("--to", target)):
        try:
            check_url(url)
        except ConfigError as error:
            raise ConfigError(error.message.replace("storage.url", option, 1)) from None
    if not is_postgres(source) and not sqlite_file(source).exists():
        raise InvalidRequest(f"There is no file {shown_place(source)}.")
    if shown_place(source) == shown_place(target):
        raise InvalidRequest(f"Both are the same database: {shown_place(source)}.")


@contextmanager
def _opened(url: str) -> Iterator[Database]:
    """The database as a start of a gateway leaves it: the newest tables, the runs of dead workers ended."""
    database, worker = build_database(url)
    try:
        database.migrate()
        SqlMaintenance(database, worker).interrupt_orphans()
        yield database
    finally:
        worker.close()
        database.close()


def _refuse_conflicts(source: Database, target: Database, place: str) -> None:
    if keys := conflicts(source, target):
        more = f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else ""
        raise InvalidRequest(
            f"Nothing was copied: {place} has other conversations under the keys "
            f"{', '.join(keys[:SHOWN])}{more}. Delete them there (`sessions.delete`), or copy into an empty "
            "database."
        )


def _progress(args: argparse.Namespace) -> Callable[[Copied], object]:
    if args.json or not sys.stderr.isatty():
        return lambda _: None

    def show(copied: Copied) -> None:
        end = "\n" if copied.seen == copied.total else ""
        counts = f"{copied.seen} of {copied.total} sessions, {copied.messages} messages copied"
        print(f"\r{counts}", end=end, file=sys.stderr, flush=True)

    return show


def _show(args: argparse.Namespace, copied: Copied) -> None:
    if args.json:
        names = ("sessions", "runs", "messages", "approvals")
        print_json(
            {
                "copied": {name: getattr(copied, name) for name in names},
                "present": copied.present,
                "left": [{"key": key, "why": why} for key, why in copied.left],
            }
        )
        return
    print_text(
        f"copied: {copied.sessions} sessions, {copied.runs} runs, {copied.messages} messages, "
        f"{copied.approvals} approvals"
    )
    if copied.present:
        print_text(f"there already: {copied.present} sessions")
    for key, why in copied.left:
        print_text(f"not copied: {one_line(key)} {why}")
