"""`ls`: the names in a folder."""

from __future__ import annotations

import heapq
import json
import os
from collections.abc import Iterable, Iterator
from typing import Annotated

from msgspec import Meta

from app.concurrency.fairness import give_way
from app.tools.base import Invocation, Tool, ToolOutput, define_tool
from app.tools.files.files import Files, workspace_of
from app.tools.parameters import Parameters

DEFAULT_LIMIT, MAX_LIMIT = 500, 2000


class Ls(Parameters):
    path: Annotated[str, Meta(description="The folder; the workspace if not given.")] | None = None
    limit: Annotated[float, Meta(description=f"The most names; {DEFAULT_LIMIT} if not given.")] | None = None
    after: Annotated[str, Meta(description="Go on after this name.")] | None = None


def ls() -> Tool:
    return define_tool(
        "ls",
        "List a folder: a name a line, in quotes; folders end with a slash.",
        Ls,
        _ls,
        summary="list a folder",
        is_parallel=True,
        only_reads=True,
    )


def _ls(call: Invocation, given: Ls) -> ToolOutput:
    workspace_of(call.run)
    with (
        Files(call.run).opened(given.path or ".", os.O_RDONLY | os.O_DIRECTORY) as fd,
        os.scandir(fd) as found,
    ):
        counted = _Counted(call, found, (given.after or "").rstrip("/"))
        most = min(max(int(given.limit), 1), MAX_LIMIT) if given.limit is not None else DEFAULT_LIMIT
        names = heapq.nsmallest(most, counted)
    shown = [json.dumps(_text(name), ensure_ascii=False) for name in names]
    if not shown:
        return ToolOutput("(empty directory)")
    if more := counted.count - len(shown):
        shown.append(f"\n[{more} more. Use after={shown[-1]} to continue.]")
    return ToolOutput("\n".join(shown))


class _Counted:
    """The names after a given one; a folder may have millions."""

    def __init__(self, call: Invocation, found: Iterable[os.DirEntry[str]], after: str) -> None:
        self._call, self._found, self._after = call, found, after
        self.count = 0

    def __iter__(self) -> Iterator[str]:
        for one in self._found:
            self._call.cancel.check()
            give_way()
            if one.name > self._after:
                self.count += 1
                yield f"{one.name}/" if one.is_dir() else one.name


def _text(name: str) -> str:
    """A name that is not UTF-8 has question marks."""
    return name.encode("utf-8", "replace").decode()
