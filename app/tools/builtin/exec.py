"""`exec`: runs a shell command in the agent's workspace (docs/tools.md#exec)."""

from __future__ import annotations

import logging
import time
from typing import Annotated, Literal

from msgspec import Meta

from app.logs.lines import log_event
from app.tools.base import Invocation, Tool, ToolError, ToolOutput, define_tool
from app.tools.exec.background import scope_of
from app.tools.exec.command import Command
from app.tools.exec.environment import check_variables
from app.tools.exec.gate import ExecRequest
from app.tools.exec.results import ended_output, running_output
from app.tools.exec.room import ExecRoom
from app.tools.exec.workdir import resolve_workdir
from app.tools.parameters import Parameters

MAX_COMMAND = 100_000  # bytes: Linux allows 128 KiB in one argument
MAX_SECONDS = 86_400.0
MAX_YIELD_SECONDS = 600.0
UPDATE_SECONDS = 0.25  # between two updates at first; later a twentieth of the command's age
UPDATE_CHARS = 4_000
END_SECONDS = 0.7  # that a call waits for the end of a command which it has ended

logger = logging.getLogger("app.tools")

DESCRIPTION = (
    "Run a shell command (bash) in the workspace; returns its output, stdout and stderr together. One that "
    "takes longer than yieldMs goes on in the background: follow it with process. What a command has started "
    "ends with it. It may run in a sandbox: then only the workspace can be written, and there may be no "
    "network."
)


class Exec(Parameters):
    command: Annotated[str, Meta(description="The shell command.")]
    title: Annotated[str, Meta(description="What it is for, in a few words.", max_length=120)] | None = None
    workdir: Annotated[str, Meta(description="Folder to run in. Default: the workspace.")] | None = None
    env: Annotated[dict[str, str], Meta(description="Further environment variables.")] | None = None
    yield_ms: (
        Annotated[float, Meta(description="Milliseconds to wait before it goes on in the background.")] | None
    ) = None
    background: Annotated[bool, Meta(description="Go on in the background at once.")] | None = None
    timeout_seconds: Annotated[float, Meta(description="End the command after so long.")] | None = None
    pty: Annotated[bool, Meta(description="Run it in a terminal, for programs that need one.")] | None = None
    elevated: Annotated[bool, Meta(description="Not available here; has no effect.")] | None = None
    host: Literal["auto", "sandbox", "gateway", "node"] | None = None
    ask: Annotated[str, Meta(description="`always`: have it approved in any case.")] | None = None
    node: Annotated[str, Meta(description="Not available here.")] | None = None


def exec_tool(room: ExecRoom) -> Tool:
    """The tool. It bounds its time itself: the command's, and how long it waits for it."""

    def run(call: Invocation, arguments: Exec) -> ToolOutput:
        return _run(room, call, arguments)

    return define_tool("exec", DESCRIPTION, Exec, run, summary="run shell commands", seconds=None)


def _run(room: ExecRoom, call: Invocation, arguments: Exec) -> ToolOutput:
    run, settings, scope = call.run, call.run.agent.tools.exec, scope_of(call.run)
    _check(arguments, settings.sandbox)
    env = arguments.env or {}
    check_variables(env)
    request = ExecRequest(arguments.command, resolve_workdir(run, arguments.workdir), env, arguments.ask)
    room.background.check_room(scope)
    room.gate.permit(call, request)
    call.cancel.check()
    if resolve_workdir(run, arguments.workdir) != request.workdir:  # that may have taken half an hour
        raise ToolError("The folder to run in has become another one meanwhile. Try again.")
    line = room.line(
        run,
        request,
        min(arguments.timeout_seconds or settings.timeout_seconds, MAX_SECONDS),
        pty=bool(arguments.pty),
        with_input=bool(arguments.pty or arguments.background),
        title=arguments.title or "",
    )
    command = room.commands.start(line)
    try:
        _wait(call, command, _yield_seconds(arguments, settings.background_seconds))
    except BaseException:
        command.end("cancel")
        command.wait(lambda: False, END_SECONDS)
        _log(call, command, "command aborted")
        raise
    if command.ended is not None:
        _log(call, command, "command ended")
        return ended_output(command, command.ended)
    background = room.background.add(scope, command, settings.cleanup_seconds)
    if not run.is_stored:
        run.at_end(lambda: room.background.end_scope(scope))
    _log(call, command, "command goes on in the background", session=background.name)
    command.when_ended(lambda: _log(call, command, "background command ended", session=background.name))
    return running_output(background)


def _check(arguments: Exec, sandbox: str) -> None:
    """Raise ToolError for what cannot be done."""
    if not arguments.command.strip():
        raise ToolError("command is empty.")
    if "\0" in arguments.command:
        raise ToolError("command has a null character.")
    if len(arguments.command.encode(errors="replace")) > MAX_COMMAND:
        raise ToolError(f"command is longer than {MAX_COMMAND} bytes. Write it to a file and run that.")
    if arguments.host == "node" or arguments.node:
        raise ToolError("This gateway has no nodes: leave out host and node to run the command where it is.")
    if arguments.host == "sandbox" and sandbox == "off":
        raise ToolError("There is no sandbox here (tools.exec.sandbox is off): leave out host.")
    if arguments.timeout_seconds is not None and arguments.timeout_seconds <= 0:
        raise ToolError("timeoutSeconds must be greater than 0.")


def _yield_seconds(arguments: Exec, default: float) -> float:
    if arguments.background:
        return 0.0
    if arguments.yield_ms is None:
        return default
    return min(max(0.0, arguments.yield_ms / 1000), MAX_YIELD_SECONDS)


def _wait(call: Invocation, command: Command, seconds: float) -> None:
    """Wait for the command's end, at most `seconds`, and tell those who follow the run what it says."""
    started_at = time.monotonic()
    shown, next_update = 0, started_at

    def has_news() -> bool:
        return command.output.total > shown and time.monotonic() >= next_update

    while command.ended is None and (left := started_at + seconds - time.monotonic()) > 0:
        command.wait(has_news, left, call.cancel)
        if command.ended is None and has_news():
            call.update(command.output.tail(UPDATE_CHARS))
            now = time.monotonic()
            shown, next_update = command.output.total, now + max(UPDATE_SECONDS, (now - started_at) / 20)


def _log(call: Invocation, command: Command, message: str, **more: object) -> None:
    ended = command.ended
    log_event(
        logger,
        logging.INFO,
        message,
        agent=call.run.agent_id,
        run_id=call.run.run_id,
        command=command.line.shown[:200],
        pid=command.pid,
        sandbox=command.line.argv[0].endswith("bwrap"),
        **({} if ended is None else {"code": ended.code, "reason": ended.reason, "seconds": ended.seconds}),
        **more,
    )
