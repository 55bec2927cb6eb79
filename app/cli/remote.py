"""What all commands that ask a running gateway share: the connection, and what failures print."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from app import VERSION
from app.auth.method_scopes import METHOD_SCOPES
from app.auth.scopes import ADMIN, READ
from app.cli.errors import CommandError
from app.cli.exit_codes import exit_code
from app.cli.output import print_error
from app.cli.target import Target, find_target
from app.client.client import CONNECT_SECONDS, GatewayClient
from app.client.errors import CannotConnect, ClientError, NotAuthenticated, UpgradeRefused
from app.client.frames import connect_params

PROTOCOLS = (3, 4)  # the oldest and the newest version of the Gateway protocol that the commands speak
CLIENT = {"id": "cli", "version": VERSION, "platform": sys.platform, "mode": "cli"}

Command = Callable[[argparse.Namespace, GatewayClient], int]


def over_gateway(command: Command, *methods: str) -> Callable[[argparse.Namespace], int]:
    """`run` of a command that calls these methods: connects with the scopes they need, prints errors."""

    def run(args: argparse.Namespace) -> int:
        try:
            target = find_target(args, os.environ)
            timeout = min(CONNECT_SECONDS, args.timeout or CONNECT_SECONDS)
            with connect(target, scopes_for(methods), timeout) as client:
                return command(args, client)
        except (ClientError, CommandError) as error:
            print_error(args, error.code, error.message)
            return exit_code(error)

    return run


def connect(target: Target, scopes: Sequence[str], timeout: float = CONNECT_SECONDS) -> GatewayClient:
    """An authenticated connection. Raises ClientError, its message with a hint at what to do."""
    with _hints(target):
        client = GatewayClient(target.url, timeout)
        try:
            client.connect(
                connect_params(client=CLIENT, auth=target.auth, scopes=scopes, protocols=PROTOCOLS), timeout
            )
        except BaseException:
            client.close()
            raise
    return client


@contextmanager
def _hints(target: Target) -> Iterator[None]:
    """Completes the client's errors, which know nothing of options and settings."""
    try:
        yield
    except UpgradeRefused:
        raise
    except CannotConnect as error:
        raise CannotConnect(
            f"{error.message} Start one with `bin/serve`, name another with --url, or let `agent --local` "
            "answer without one."
        ) from error
    except NotAuthenticated as error:
        problem = f"does not take the secret from {target.source}" if target.auth else "wants a secret"
        raise NotAuthenticated(
            f"{target.url} {problem} ({error.reason}). It is looked for in --token and --password, in "
            "OPENCLAW_GATEWAY_TOKEN and OPENCLAW_GATEWAY_PASSWORD, and in the configuration: gateway.auth, "
            "or gateway.remote for another machine's gateway.",
            error.reason,
        ) from error


def scopes_for(methods: Sequence[str]) -> list[str]:
    """The least that these methods need; a method that only other gateways have may need anything.

    A method without a scope still asks for one: no scopes at all would mean all of them.
    """
    scopes = {METHOD_SCOPES.get(name, ADMIN) for name in methods}
    return sorted(scope for scope in scopes if scope is not None) or [READ]
