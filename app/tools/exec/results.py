"""What the model and programs get of a command: its output, and how it has ended. Pure."""

from __future__ import annotations

import signal
from typing import Any

from app.tools.base import ToolOutput
from app.tools.exec.background import BackgroundCommand
from app.tools.exec.child.guard import MAX_PROCESSES
from app.tools.exec.command import Command, Ended

MAX_OUTPUT = 30_000  # characters of a command's output in one result
MAX_TAIL = 2_000  # characters of what there is so far, when a command goes on

_REASONS = {
    "processes": f"Command was ended: it had started more than {MAX_PROCESSES} processes.",
    "disk": "Command was ended: it had nearly filled the disk. Delete what is not needed.",
    "kill": "Command was ended by process kill.",
    "lost": "Command was ended: the process that kept it has died.",
    "cancel": "Command was aborted.",
}


def ended_output(command: Command, ended: Ended) -> ToolOutput:
    """The result of a command that has ended."""
    return ToolOutput(
        joined(command.output.text(MAX_OUTPUT), how_it_ended(command, ended)),
        ended_details(command, ended),
        is_error=ended.reason not in ("exit", "kill"),
    )


def joined(output: str, note: str) -> str:
    return "\n\n".join(filter(None, (output.strip("\n") or "(no output)", note)))


def how_it_ended(command: Command, ended: Ended) -> str:
    """A note for the model; empty if the command has done its work."""
    notes = []
    if ended.reason == "timeout":
        notes.append(
            f"Command timed out after {command.line.seconds:g} seconds. If it needs longer, run it again "
            "with a larger timeoutSeconds, or with background: true."
        )
    elif ended.reason in _REASONS:
        notes.append(_REASONS[ended.reason])
    elif ended.signal is not None:
        notes.append(f"(Command was ended by signal {signal_name(ended.signal)})")
    elif ended.code:
        notes.append(f"(Command exited with code {ended.code})")
    if ended.left:
        notes.append(
            f"({ended.left} process{'es' if ended.left > 1 else ''} that the command had left running "
            f"{'were' if ended.left > 1 else 'was'} ended. Use background: true for what is to go on.)"
        )
    return "\n".join(notes)


def ended_details(command: Command, ended: Ended) -> dict[str, Any]:
    return {
        "status": "completed" if ended.code is not None and ended.reason == "exit" else "failed",
        "exitCode": ended.code,
        "exitSignal": None if ended.signal is None else signal_name(ended.signal),
        "exitReason": "signal" if ended.reason == "exit" and ended.signal else ended.reason,
        "durationMs": round(ended.seconds * 1000),
        "aggregated": command.output.tail(MAX_OUTPUT),
        "timedOut": ended.reason == "timeout",
        "cwd": str(command.line.workdir),
    }


def running_output(one: BackgroundCommand) -> ToolOutput:
    """The result of a command that goes on."""
    command = one.command
    text = (
        f"Command still running (session {one.name}, pid {command.pid}). Use process (poll, log, write, "
        "kill) with that sessionId to go on with it."
    )
    tail = command.output.tail(MAX_TAIL)
    command.seen = command.output.total
    if tail.strip():
        text += f"\n\nOutput so far:\n{tail}"
    return ToolOutput(text, running_details(one))


def running_details(one: BackgroundCommand) -> dict[str, Any]:
    command = one.command
    return {
        "status": "running",
        "sessionId": one.name,
        "pid": command.pid,
        "startedAt": round(command.started_at * 1000),
        "cwd": str(command.line.workdir),
        "tail": command.output.tail(MAX_TAIL),
    }


def signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)
