"""What can go wrong between a command and a gateway, each with the exit code that tells it to scripts."""

from __future__ import annotations

from app.cli.exit_codes import EXIT_CONFIG, EXIT_FAILED, EXIT_TRY_AGAIN, EXIT_USAGE


class ClientError(Exception):
    """The root. `code` is for programs, `message` tells a person what to do."""

    code = "failed"
    exit_code = EXIT_FAILED

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class WrongUse(ClientError):
    """The command's words cannot be taken as they are."""

    code = "wrong_use"
    exit_code = EXIT_USAGE


class CannotConnect(ClientError):
    code = "cannot_connect"
    exit_code = EXIT_TRY_AGAIN


class ConnectionLost(ClientError):
    """The gateway closed the connection, or has fallen silent."""

    code = "connection_lost"


class NoAnswer(ClientError):
    code = "no_answer"
    exit_code = EXIT_TRY_AGAIN


class RunOverdue(ClientError):
    """The run did not end in the time it was given."""

    code = "timeout"


class NotLetIn(ClientError):
    """The secret is missing or not the gateway's."""

    code = "unauthorized"
    exit_code = EXIT_CONFIG


class ProtocolMismatch(ClientError):
    code = "protocol_mismatch"


class Refused(ClientError):
    """The gateway's own error to a request. `code` is its code there."""

    def __init__(self, message: str, code: str, exit_code: int) -> None:
        super().__init__(message)
        self.code = code
        self.exit_code = exit_code
