"""What the commands exit with, for scripts. The numbers above 63 are those of sysexits.h."""

from __future__ import annotations

from app.cli.errors import CommandError, WrongUse
from app.client.errors import CannotConnect, ClientError, NoAnswer, NotAuthenticated, RequestRefused
from app.errors import (
    ConfigError,
    GatewayError,
    InvalidRequest,
    ServiceUnavailable,
    TooManyRequests,
    UpstreamRateLimited,
    UpstreamUnavailable,
)

EXIT_OK = 0
EXIT_FAILED = 1  # the run failed: the model's side, or a fault of ours
EXIT_USAGE = 2  # the command's arguments or the request are wrong
EXIT_TRY_AGAIN = 75  # busy, limited or unavailable now
EXIT_CONFIG = 78  # the configuration or the secret is wrong
EXIT_INTERRUPTED = 130  # Ctrl-C

# The first row that an error is an instance of; any other error exits with EXIT_FAILED.
EXIT_CODES: tuple[tuple[type[Exception], int], ...] = (
    (ConfigError, EXIT_CONFIG),
    (InvalidRequest, EXIT_USAGE),
    (TooManyRequests, EXIT_TRY_AGAIN),
    (UpstreamRateLimited, EXIT_TRY_AGAIN),
    (UpstreamUnavailable, EXIT_TRY_AGAIN),
    (ServiceUnavailable, EXIT_TRY_AGAIN),
    (CannotConnect, EXIT_TRY_AGAIN),
    (NoAnswer, EXIT_TRY_AGAIN),
    (NotAuthenticated, EXIT_CONFIG),
    (WrongUse, EXIT_USAGE),
)
WRONG_REQUEST = ("INVALID_REQUEST", "FORBIDDEN")  # of the Gateway protocol: repeating it will not help


def exit_code(error: GatewayError | ClientError | CommandError) -> int:
    """What a command exits with after this error."""
    if isinstance(error, RequestRefused):
        return _refused(error)
    return next((code for kind, code in EXIT_CODES if isinstance(error, kind)), EXIT_FAILED)


def _refused(error: RequestRefused) -> int:
    if error.error_code in WRONG_REQUEST:
        return EXIT_USAGE
    return EXIT_FAILED if error.run_failed and not error.retryable else EXIT_TRY_AGAIN
