"""`apply_patch`: changes several files at once, all or none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta

from app.tools.base import Invocation, Tool, ToolError, ToolOutput, define_tool
from app.tools.files.files import Files
from app.tools.files.patch import FilePatch, apply_hunks, parse_patch
from app.tools.parameters import Parameters

MAX_BYTES = 10 * 1024 * 1024
LETTERS = {"add": "A", "update": "M", "delete": "D"}


class ApplyPatch(Parameters):
    input: Annotated[str, Meta(description="The patch, from `*** Begin Patch` to `*** End Patch`.")]


def apply_patch() -> Tool:
    return define_tool(
        "apply_patch",
        "Change, add, move and delete files with one patch, all of it or nothing. It begins with `*** Begin "
        "Patch` and ends with `*** End Patch`. For each file: `*** Add File: <path>` with lines that begin "
        "with `+`; `*** Delete File: <path>`; or `*** Update File: <path>`, perhaps `*** Move to: <path>`, "
        "and hunks: `@@ <a line before>`, then lines that begin with a blank (stays), `-` (goes) or `+` "
        "(comes).",
        ApplyPatch,
        _apply,
        summary="change several files with one patch",
    )


def _apply(call: Invocation, given: ApplyPatch) -> ToolOutput:
    files, patches = Files(call.run), parse_patch(given.input)
    _check_paths(patches)
    changes = _changes(files, patches)
    _write_all(files, changes)
    lines = [f"{LETTERS[one.action]} {one.move_to or one.path}" for one in patches]
    return ToolOutput("Success. Updated the following files:\n" + "\n".join(lines))


def _check_paths(patches: Sequence[FilePatch]) -> None:
    paths = [path for one in patches for path in (one.path, one.move_to) if path]
    if len(set(paths)) < len(paths):
        raise ToolError("The patch names a file twice: put all changes of a file into one part.")


def _changes(files: Files, patches: Sequence[FilePatch]) -> dict[str, bytes | None]:
    """Path -> its new content, None for a file that goes. Raises ToolError if anything does not fit."""
    changes: dict[str, bytes | None] = {}
    for patch in patches:
        if patch.action == "add":
            if files.exists(patch.path):
                raise ToolError(f"{files.shown(patch.path)} exists already: update it. Nothing was changed.")
            text = "\n".join(patch.lines)
            changes[patch.path] = (f"{text}\n" if patch.lines else "").encode("utf-8", "replace")
            continue
        old = files.read(patch.path, MAX_BYTES)
        if patch.action == "delete":
            changes[patch.path] = None
            continue
        try:
            new = apply_hunks(old.decode("utf-8"), patch).encode("utf-8", "replace")
        except UnicodeDecodeError:
            raise ToolError(f"{patch.path} is not UTF-8 text. Nothing was changed.") from None
        if patch.move_to:
            if files.exists(patch.move_to):
                raise ToolError(f"{files.shown(patch.move_to)} exists already. Nothing was changed.")
            changes[patch.path] = None
        changes[patch.move_to or patch.path] = new
    return changes


def _write_all(files: Files, changes: dict[str, bytes | None]) -> None:
    """Make the changes; if one fails, undo those before it. Raises ToolError."""
    before = {path: files.read(path, MAX_BYTES) if files.exists(path) else None for path in changes}
    done: list[str] = []
    try:
        for path, content in changes.items():
            _put(files, path, content)
            done.append(path)
    except ToolError as error:
        for path in done:
            _put(files, path, before[path])
        raise ToolError(f"{error} Nothing was changed.") from None


def _put(files: Files, path: str, content: bytes | None) -> None:
    if content is not None:
        files.write(path, content)
    elif files.exists(path):
        files.delete(path)
