"""What can go wrong between a client and a gateway. Every failure of `app.client` is a `ClientError`.

ClientError
├── CannotConnect           nothing at the address speaks the protocol
│   └── UpgradeRefused      something does, and answered with an HTTP status
├── ConnectionLost          closed by the gateway, broken, or silent for too long
├── NoAnswer                no response before the deadline
├── NotAuthenticated        the credentials are missing or wrong
├── ProtocolMismatch        no protocol version in common
└── RequestRefused          the gateway's error response to a request
"""

from __future__ import annotations

ABNORMAL_CLOSURE = 1006  # RFC 6455, section 7.4.1: the connection ended without a close frame


class ClientError(Exception):
    """The root. `code` is for programs, `message` for people; neither contains a secret."""

    code = "failed"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class CannotConnect(ClientError):
    """No connection, or nothing on it that speaks the Gateway protocol."""

    code = "cannot_connect"


class UpgradeRefused(CannotConnect):
    """`status` is the HTTP status of the answer to the upgrade request."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class ConnectionLost(ClientError):
    """`close_code` and `reason` are those of the gateway's close frame, or ABNORMAL_CLOSURE without one."""

    code = "connection_lost"

    def __init__(self, message: str, close_code: int = ABNORMAL_CLOSURE, reason: str = "") -> None:
        super().__init__(message)
        self.close_code = close_code
        self.reason = reason


class NoAnswer(ClientError):
    """The gateway did not respond, or not close the connection, within the time limit."""

    code = "no_answer"


class NotAuthenticated(ClientError):
    """`reason` is the gateway's own, such as `unauthorized: gateway token mismatch`."""

    code = "unauthorized"

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class ProtocolMismatch(ClientError):
    """The gateway speaks none of the protocol versions that the client offered."""

    code = "protocol_mismatch"


class RequestRefused(ClientError):
    """`code` is the most specific code of the response (`details.code`), `error_code` its general one.

    `run_failed`: the request was accepted and started a run, which failed.
    """

    def __init__(
        self, message: str, code: str, *, error_code: str, retryable: bool = False, run_failed: bool = False
    ) -> None:
        super().__init__(message)
        self.code = code
        self.error_code = error_code
        self.retryable = retryable
        self.run_failed = run_failed
