"""What `exec` and `process` share: all that stands behind commands."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from app.config.settings import Settings
from app.tools.base import RunContext
from app.tools.exec.background import BackgroundCommands
from app.tools.exec.command import CommandLine
from app.tools.exec.commands import Commands
from app.tools.exec.environment import command_environment
from app.tools.exec.gate import ExecGate, ExecRequest
from app.tools.exec.sandbox import SandboxCheck
from app.tools.exec.sandbox_view import sandbox_arguments


class ExecRoom:
    """`gate` stands before every command; `settings` gives the present ones."""

    def __init__(self, settings: Callable[[], Settings], gate: ExecGate) -> None:
        self.gate = gate
        self.commands = Commands(lambda: settings().state_dir)
        self.background = BackgroundCommands()
        self.sandbox = SandboxCheck(self.commands)

    def close(self) -> None:
        """End all commands."""
        self.commands.close()

    def line(
        self,
        run: RunContext,
        request: ExecRequest,
        seconds: float,
        *,
        pty: bool,
        with_input: bool,
        title: str,
    ) -> CommandLine:
        """The command as it is started: by the shell, inside the sandbox if there is one. Raises ToolError if
        there has to be one, and is not.
        """
        settings, environ, shell = run.agent.tools.exec, dict(os.environ), find_shell()
        argv = [shell, *(("--noprofile", "--norc") if shell.endswith("bash") else ()), "-c", request.command]
        if (program := self.sandbox.program(settings.sandbox)) is not None:
            view = sandbox_arguments(
                run.settings(), run.agent, run.workspace.resolve(), request.workdir, find_home()
            )
            argv = [program, *view, *argv]
            environ["TMPDIR"] = "/tmp"  # noqa: S108 - which is the command's own there
            environ.pop("XDG_RUNTIME_DIR", None)
        return CommandLine(
            argv=argv,
            shown=request.command,
            workdir=request.workdir,
            env=command_environment(environ, settings, shell, request.env, self.commands.new_mark()),
            seconds=seconds,
            pty=pty,
            with_input=with_input,
            title=title,
        )


def find_home() -> Path:
    """The home folder of the gateway's user; a folder that does not exist if it has none."""
    return Path(os.path.expanduser("~")).absolute()


def find_shell() -> str:
    """bash, whose words models write; sh where there is none."""
    found = next((path for path in ("/bin/bash", "/usr/bin/bash") if Path(path).exists()), None)
    return found or shutil.which("bash") or "/bin/sh"
