"""`write`: a whole file."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from app.tools.base import Invocation, Tool, ToolOutput, define_tool
from app.tools.files.files import Files
from app.tools.parameters import Parameters


class Write(Parameters):
    path: Annotated[str, Meta(description="The file, relative to the workspace or absolute.")]
    content: Annotated[str, Meta(description="All of its text.")]


def write() -> Tool:
    return define_tool(
        "write",
        "Write a file, in place of what it had. Missing folders are made.",
        Write,
        _write,
        summary="write a file",
    )


def _write(call: Invocation, given: Write) -> ToolOutput:
    files = Files(call.run)
    content = given.content.encode("utf-8", "replace")
    files.write(given.path, content)
    return ToolOutput(f"Successfully wrote {len(content)} bytes to {given.path}", {"path": given.path})
