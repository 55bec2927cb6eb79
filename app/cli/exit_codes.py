"""What the commands exit with, for scripts. The numbers above 63 are those of sysexits.h."""

from __future__ import annotations

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
EXIT_USAGE = 2  # the command's words or the request are wrong
EXIT_TRY_AGAIN = 75  # busy, limited or unavailable now
EXIT_CONFIG = 78
EXIT_INTERRUPTED = 130  # Ctrl-C


def exit_code(error: GatewayError) -> int:
    match error:
        case ConfigError():
            return EXIT_CONFIG
        case InvalidRequest():
            return EXIT_USAGE
        case TooManyRequests() | UpstreamRateLimited() | UpstreamUnavailable() | ServiceUnavailable():
            return EXIT_TRY_AGAIN
        case _:
            return EXIT_FAILED
