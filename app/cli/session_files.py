"""`sessions export` and `sessions import`: over HTTP, which streams files of any size."""

from __future__ import annotations

import argparse
import http.client
import json
import os
import ssl
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote, urlencode, urlsplit

from app.cli.errors import CommandError, WrongUse
from app.cli.exit_codes import EXIT_CONFIG, EXIT_FAILED, EXIT_OK, EXIT_TRY_AGAIN, EXIT_USAGE, exit_code
from app.cli.output import print_error, print_json, print_text
from app.cli.target import find_target

PIECE = 64 * 1024  # bytes
END = b'{"type":"end"'  # how the last line of a complete export begins


class Refused(CommandError):
    """The gateway's answer is an error; `exits` is what the command exits with."""

    def __init__(self, message: str, code: str, exits: int) -> None:
        super().__init__(message)
        self.code = code
        self.exits = exits


class Incomplete(CommandError):
    """The export ended before its end."""

    code = "incomplete"


def export_session(args: argparse.Namespace) -> int:
    """Writes the export to the file, or to standard output; an exit code. Raises ConfigError."""
    path = f"/v1/sessions/{quote(args.key, safe='')}/export?{urlencode({'format': args.format})}"

    def work() -> None:
        with _answer(args, "GET", path) as response, _opened(args.output) as file:
            last = b""
            while piece := response.read(PIECE):
                file.write(piece)
                last = (last + piece)[-PIECE:]
            file.flush()
        if args.format == "jsonl" and not last.rstrip().rpartition(b"\n")[2].startswith(END):
            raise Incomplete("The export broke off: its last line says why. Try again.")

    return _run(args, work)


def import_session(args: argparse.Namespace) -> int:
    """Sends the file, and prints the session's key; an exit code. Raises ConfigError."""
    path = "/v1/sessions/import" if args.key is None else f"/v1/sessions/{quote(args.key, safe='')}/import"

    def work() -> None:
        try:
            body = sys.stdin.buffer.read() if args.file == "-" else _read(args.file)
        except OSError as error:
            raise WrongUse(f"{args.file}: {error.strerror}.") from error
        with _answer(args, "POST", path, body) as response:
            done = json.loads(response.read())
        if args.json:
            print_json(done)
        else:
            print_text(done["key"])

    return _run(args, work)


def _run(args: argparse.Namespace, work: Any) -> int:
    try:
        work()
    except Refused as error:
        print_error(args, error.code, error.message)
        return error.exits
    except CommandError as error:
        print_error(args, error.code, error.message)
        return exit_code(error)
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, BrokenPipeError):
            raise
        print_error(args, "cannot_connect", f"The gateway cannot be reached: {error}.")
        return EXIT_TRY_AGAIN
    return EXIT_OK


@contextmanager
def _answer(
    args: argparse.Namespace, method: str, path: str, body: bytes | None = None
) -> Iterator[http.client.HTTPResponse]:
    """The gateway's answer to a request, if it is not an error. Raises Refused and OSError."""
    target = find_target(args, os.environ)
    parts = urlsplit(target.url)
    secret = next(iter(target.auth.values()), None)
    headers = {} if secret is None else {"Authorization": f"Bearer {secret}".encode().decode("latin-1")}
    connection: http.client.HTTPConnection
    if parts.scheme == "wss":
        connection = http.client.HTTPSConnection(
            parts.netloc, timeout=args.timeout, context=ssl.create_default_context()
        )
    else:
        connection = http.client.HTTPConnection(parts.netloc, timeout=args.timeout)
    with closing(connection):
        connection.request(method, parts.path.rstrip("/") + path, body, headers)
        with connection.getresponse() as response:
            if response.status >= 300:
                raise _refusal(response)
            yield response


def _refusal(response: http.client.HTTPResponse) -> Refused:
    try:
        error = json.loads(response.read(PIECE))["error"]
        message, code = str(error["message"]), str(error["code"] or error["type"])
    except (ValueError, KeyError, TypeError):
        message, code = f"The gateway answered {response.status}.", "refused"
    exits = EXIT_USAGE if response.status < 500 else EXIT_FAILED
    exits = {401: EXIT_CONFIG, 429: EXIT_TRY_AGAIN, 503: EXIT_TRY_AGAIN}.get(response.status, exits)
    return Refused(message, code, exits)


@contextmanager
def _opened(name: str | None) -> Iterator[BinaryIO]:
    if name is None or name == "-":
        yield sys.stdout.buffer
        return
    try:
        Path(name).touch()
    except OSError as error:
        raise WrongUse(f"{name}: {error.strerror}.") from error
    with open(name, "wb") as file:
        yield file


def _read(name: str) -> bytes:
    with open(name, "rb") as file:
        return file.read()
