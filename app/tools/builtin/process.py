"""`process`: follows, feeds and ends the background commands of `exec` (docs/tools.md#process)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Annotated, Literal

from msgspec import Meta

from app.tools.base import Invocation, Tool, ToolError, ToolOutput, define_tool
from app.tools.exec.background import BackgroundCommand, BackgroundCommands, scope_of
from app.tools.exec.keys import decode_hex, encode_keys
from app.tools.exec.results import (
    MAX_OUTPUT,
    ended_details,
    how_it_ended,
    joined,
    running_details,
)
from app.tools.parameters import Parameters

MAX_POLL_SECONDS = 120.0
DEFAULT_LINES = 200
MAX_LINES = 2_000
END_SECONDS = 2.0
PASTE = (b"\x1b[200~", b"\x1b[201~")

DESCRIPTION = (
    "Follow and control the background commands of exec. list: all of this session; poll: output since the "
    "last poll, waiting up to timeout ms; log: output by lines; write: data to its input, eof closes it; "
    "send-keys: keys such as Enter, C-c, Up; submit: data and Enter; paste: text; kill: end it; clear: "
    "forget one that has ended; remove: end and forget it."
)


class Process(Parameters):
    action: Literal["list", "poll", "log", "write", "send-keys", "submit", "paste", "kill", "clear", "remove"]
    session_id: Annotated[str, Meta(description="Which command, as exec named it.")] | None = None
    data: Annotated[str, Meta(description="What to write (write, submit).")] | None = None
    keys: Annotated[list[str], Meta(description="Keys to send: Enter, C-c, Up, x.")] | None = None
    hex: Annotated[list[str], Meta(description="Bytes to send, in hexadecimal.")] | None = None
    literal: Annotated[str, Meta(description="Text to send as it is.")] | None = None
    text: Annotated[str, Meta(description="What to paste.")] | None = None
    bracketed: Annotated[bool, Meta(description="Mark it as pasted. Default: in a terminal.")] | None = None
    eof: Annotated[bool, Meta(description="Close the input after writing.")] | None = None
    offset: Annotated[int, Meta(description="First line of the log, from 0. Default: the newest.")] | None = (
        None
    )
    limit: Annotated[int, Meta(description=f"Lines of the log. Default {DEFAULT_LINES}.")] | None = None
    timeout: Annotated[float, Meta(description="Milliseconds that poll may wait.", ge=0)] | None = None


def process_tool(commands: BackgroundCommands) -> Tool:
    def run(call: Invocation, arguments: Process) -> ToolOutput:
        scope = scope_of(call.run)
        if arguments.action == "list":
            return _list(commands, scope)
        if not arguments.session_id:
            raise ToolError(f"sessionId is missing: which command is meant by {arguments.action}?")
        one = commands.find(scope, arguments.session_id)
        if arguments.action in ("clear", "remove"):
            return _forget(commands, one, arguments.action)
        return _ACTIONS[arguments.action](call, one, arguments)

    return define_tool(
        "process", DESCRIPTION, Process, run, summary="follow background commands", seconds=None
    )


def _list(commands: BackgroundCommands, scope: str) -> ToolOutput:
    mine = commands.of(scope)
    lines = [f"{one.name}  {_state(one)}  {_title(one)}" for one in mine]
    details = [
        {**_details(one), "sessionId": one.name, "command": one.command.line.shown, "title": _title(one)}
        for one in mine
    ]
    return ToolOutput(
        "\n".join(lines) or "No background commands.", {"status": "completed", "sessions": details}
    )


def _poll(call: Invocation, one: BackgroundCommand, arguments: Process) -> ToolOutput:
    command = one.command
    seconds = min((arguments.timeout or 0) / 1000, MAX_POLL_SECONDS)
    command.wait(lambda: command.output.total > command.seen, seconds, call.cancel)
    new = command.output.since(command.seen, MAX_OUTPUT)
    command.seen = command.output.total
    if not new.strip():
        new = "(no new output)"
    return ToolOutput(joined(new, _ending(one)), _details(one))


def _log(_: Invocation, one: BackgroundCommand, arguments: Process) -> ToolOutput:
    output = one.command.output
    lines = output.kept.splitlines()
    count = max(1, min(arguments.limit or DEFAULT_LINES, MAX_LINES))
    first = max(0, len(lines) - count) if arguments.offset is None else max(0, arguments.offset)
    chosen = lines[first : first + count]
    notes = (
        [f"[lines {first} to {first + len(chosen) - 1} of {len(lines)}]"] if len(chosen) < len(lines) else []
    )
    if output.start:
        notes.append(f"[the first {output.start} characters of the output are no longer kept]")
    text = "\n".join(chosen)
    if len(text) > MAX_OUTPUT:
        text = text[:MAX_OUTPUT] + "\n[… cut here: ask for fewer lines …]"
    details = {**_details(one), "totalLines": len(lines), "truncated": len(chosen) < len(lines)}
    return ToolOutput(joined(text, "\n".join(notes)), details)


def _write(_: Invocation, one: BackgroundCommand, arguments: Process) -> ToolOutput:
    return _send(one, (arguments.data or "").encode(), bool(arguments.eof))


def _send_keys(_: Invocation, one: BackgroundCommand, arguments: Process) -> ToolOutput:
    data = (
        (arguments.literal or "").encode()
        + decode_hex(arguments.hex or ())
        + encode_keys(arguments.keys or ())
    )
    if not data:
        raise ToolError("Nothing to send: give keys, hex or literal.")
    return _send(one, data)


def _submit(_: Invocation, one: BackgroundCommand, arguments: Process) -> ToolOutput:
    enter = b"\r" if one.command.line.pty else b"\n"
    return _send(one, (arguments.data or "").encode() + enter)


def _paste(_: Invocation, one: BackgroundCommand, arguments: Process) -> ToolOutput:
    text = (arguments.text or "").encode()
    if not text:
        raise ToolError("text is missing: what is to be pasted?")
    bracketed = one.command.line.pty if arguments.bracketed is None else arguments.bracketed
    return _send(one, PASTE[0] + text.replace(PASTE[1], b"") + PASTE[1] if bracketed else text)


def _kill(_: Invocation, one: BackgroundCommand, __: Process) -> ToolOutput:
    _end(one)
    return ToolOutput(f"Session {one.name} was ended.", _details(one))


_ACTIONS: Mapping[str, Callable[[Invocation, BackgroundCommand, Process], ToolOutput]] = {
    "poll": _poll,
    "log": _log,
    "write": _write,
    "send-keys": _send_keys,
    "submit": _submit,
    "paste": _paste,
    "kill": _kill,
}


def _forget(commands: BackgroundCommands, one: BackgroundCommand, action: str) -> ToolOutput:
    if action == "clear" and one.command.ended is None:
        raise ToolError(f"Session {one.name} is still running: use kill, or remove.")
    _end(one)
    commands.forget(one)
    return ToolOutput(f"Session {one.name} was {'ended and ' if action == 'remove' else ''}forgotten.")


def _end(one: BackgroundCommand) -> None:
    one.command.end("kill")
    one.command.wait(lambda: False, END_SECONDS)


def _send(one: BackgroundCommand, data: bytes, eof: bool = False) -> ToolOutput:
    one.command.write(data, eof)
    closed = " and closed its input" if eof else ""
    return ToolOutput(f"Wrote {len(data)} bytes to session {one.name}{closed}.", _details(one))


def _state(one: BackgroundCommand) -> str:
    ended = one.command.ended
    if ended is None:
        return f"running for {time.time() - one.command.started_at:.0f} s"
    return "completed" if ended.code == 0 else f"ended ({ended.reason if ended.code is None else ended.code})"


def _title(one: BackgroundCommand) -> str:
    return one.command.line.title or " ".join(one.command.line.shown.split())[:120]


def _ending(one: BackgroundCommand) -> str:
    ended = one.command.ended
    if ended is None:
        return f"Command still running (session {one.name}, pid {one.command.pid})."
    return how_it_ended(one.command, ended) or "(Command exited with code 0)"


def _details(one: BackgroundCommand) -> dict[str, object]:
    ended = one.command.ended
    if ended is None:
        return running_details(one)
    return {**ended_details(one.command, ended), "sessionId": one.name}
