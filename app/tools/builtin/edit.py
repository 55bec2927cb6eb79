"""`edit`: replaces pieces of a file."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from app.tools.base import Invocation, Tool, ToolError, ToolOutput, define_tool
from app.tools.files.files import Files
from app.tools.files.text import Edit, apply_edits, is_binary
from app.tools.parameters import Parameters

MAX_BYTES = 10 * 1024 * 1024


class EditParameters(Parameters):
    path: Annotated[str, Meta(description="The file, relative to the workspace or absolute.")]
    edits: Annotated[
        list[Edit],
        Meta(
            description="Each `oldText` must be in the file exactly once, and is replaced by `newText`.",
            min_length=1,
            max_length=200,
        ),
    ]


def edit() -> Tool:
    return define_tool(
        "edit",
        "Change a text file by replacing pieces of it. All edits are made, or none.",
        EditParameters,
        _edit,
        summary="replace pieces of a file",
    )


def _edit(call: Invocation, given: EditParameters) -> ToolOutput:
    files = Files(call.run)
    content = files.read(given.path, MAX_BYTES)
    if is_binary(content):
        raise ToolError(f"{given.path} is a binary file: it cannot be edited as text.")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise ToolError(f"{given.path} is not UTF-8 text: it cannot be edited without loss.") from None
    new = apply_edits(text, given.edits, files.shown(given.path))
    if new == text:
        raise ToolError("The edits change nothing: oldText and newText are the same.")
    files.write(given.path, new.encode("utf-8", "replace"))
    count = len(given.edits)
    return ToolOutput(f"Successfully replaced {count} block(s) in {given.path}.", {"path": given.path})
