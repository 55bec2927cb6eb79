"""The sandbox of commands: bubblewrap, if the machine has it and lets us use it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from app.config.bubblewrap import NOT_INSTALLED, find_bubblewrap
from app.config.tool_settings import Sandbox as SandboxMode
from app.logs.lines import log_event
from app.tools.base import ToolError
from app.tools.exec.command import CommandLine
from app.tools.exec.commands import Commands
from app.tools.exec.sandbox_view import base_arguments

CHECK_SECONDS = 15.0
RETRY_SECONDS = 60.0

logger = logging.getLogger("app.tools")


class SandboxCheck:
    """Whether commands can be put into the sandbox; tried when it is first needed, once if it works.

    `program` finds bubblewrap; None: it is not installed.
    """

    def __init__(self, commands: Commands, program: Callable[[], str | None] | None = None) -> None:
        self._commands = commands
        self._find = program or find_bubblewrap
        self._lock = threading.Lock()  # for all below
        self._program: str | None = None
        self._why_not: str | None = None
        self._checked_at = 0.0  # on the monotonic clock

    @property
    def state(self) -> str:
        """For operators: `bubblewrap`, `none: <why>`, or `unchecked` before the first command."""
        if self._program is not None:
            return "bubblewrap"
        return "unchecked" if self._why_not is None else f"none: {self._why_not}"

    def program(self, mode: SandboxMode) -> str | None:
        """The program to put before a command; None: it runs without a sandbox. Raises ToolError if it must
        not.
        """
        if mode == "off":
            return None
        with self._lock:
            if self._program is None and self._is_time():
                self._check()
            if self._program is None and mode == "required":
                raise ToolError(
                    "Commands have to run in a sandbox (tools.exec.sandbox is `required`), and there is none:"
                    f" {self._why_not}"
                )
            return self._program

    def _is_time(self) -> bool:
        return self._why_not is None or time.monotonic() - self._checked_at > RETRY_SECONDS

    def _check(self) -> None:
        program = self._find()
        why_not = NOT_INSTALLED if program is None else self._try(program)
        if why_not is None:
            self._program = program
            log_event(
                logger, logging.INFO, "commands run in a sandbox", sandbox="bubblewrap", program=program
            )
        elif why_not != self._why_not:
            log_event(logger, logging.WARNING, "no sandbox for commands", why=why_not)
        self._why_not, self._checked_at = why_not, time.monotonic()

    def _try(self, program: str) -> str | None:
        """Why it does not work here, if it does not."""
        argv = [program, *base_arguments(), "--", "/bin/sh", "-c", "exit 0"]
        line = CommandLine(argv=argv, shown="", workdir=Path("/"), env={}, seconds=CHECK_SECONDS)
        try:
            command = self._commands.start(line)
            command.wait(lambda: False, CHECK_SECONDS + 1)
        except ToolError as error:
            return str(error)
        if command.ended is not None and command.ended.code == 0:
            return None
        said = command.output.text(300).strip() or "it did not end in time"
        return f"bubblewrap does not work on this machine ({said})."
