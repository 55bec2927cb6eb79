"""A command's own errors. What goes wrong between it and a gateway is in `app.client.errors`."""

from __future__ import annotations


class CommandError(Exception):
    """The root. `code` is for programs, `message` for people: what to do."""

    code = "failed"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class WrongUse(CommandError):
    """The command's arguments cannot be used as they are."""

    code = "wrong_use"


class RunOverdue(CommandError):
    """The run did not end within its time limit."""

    code = "timeout"
