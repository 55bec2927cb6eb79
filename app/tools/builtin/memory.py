"""`memory_search` and `memory_get`: what the agent has noted in `MEMORY.md` and `memory/`."""

from __future__ import annotations

from collections import OrderedDict
from typing import Annotated, Any, Literal

import msgspec
import orjson
from msgspec import Meta

from app.concurrency.native_thread import NativeThread
from app.config.agent_settings import AgentSettings
from app.config.settings import Settings
from app.tools.base import Invocation, Tool, ToolError, ToolOutput, define_tool
from app.tools.files.files import Files
from app.tools.memory.index import Hit, MemoryIndex
from app.tools.memory.notes import MAX_BYTES, is_note, passages, read_notes, stamps
from app.tools.parameters import Parameters

DEFAULT_RESULTS, MAX_RESULTS = 6, 50
MAX_LINES = 500
MAX_INDEXES = 32  # workspaces whose notes are kept ready

Stamps = dict[str, tuple[int, int]]


class MemorySearch(Parameters, forbid_unknown_fields=True):
    query: Annotated[str, Meta(description="Words to look for.", min_length=1, max_length=4096)]
    max_results: Annotated[int, Meta(description="The most passages.", ge=1)] | None = None
    min_score: Annotated[float, Meta(description="Leave out passages below this score.")] | None = None
    corpus: Literal["memory", "wiki", "all", "sessions"] = "memory"


class MemoryGet(Parameters, forbid_unknown_fields=True):
    path: Annotated[str, Meta(description="`MEMORY.md`, or a file in `memory/`.")]
    from_line: Annotated[int, Meta(description="The first line, from 1.", ge=1)] | None = msgspec.field(
        default=None, name="from"
    )
    lines: Annotated[int, Meta(description="How many lines.", ge=1)] | None = None
    corpus: Literal["memory", "wiki", "all"] = "memory"


class MemoryTools:
    """Keeps an index of each workspace's notes, made anew when one of them has changed."""

    def __init__(self, native_thread: NativeThread) -> None:
        self._native_thread = native_thread
        self._indexes: OrderedDict[str, tuple[Stamps, MemoryIndex]] = OrderedDict()

    def close(self) -> None:
        """Let the indexes go. The native thread is its owner's to close."""
        while self._indexes:
            self._indexes.popitem()[1][1].close()

    def tools(self) -> tuple[Tool, Tool]:
        return (
            define_tool(
                "memory_search",
                "Search your notes (MEMORY.md and memory/*.md) by words. Look here before you answer "
                "questions about earlier work, decisions, dates, people or preferences.",
                MemorySearch,
                self._search,
                summary="search your notes",
                is_parallel=True,
                only_reads=True,
                absence=_absence,
            ),
            define_tool(
                "memory_get",
                "Read lines of a note that memory_search has found.",
                MemoryGet,
                self._get,
                summary="read a note",
                is_parallel=True,
                only_reads=True,
                absence=_absence,
            ),
        )

    def _search(self, call: Invocation, given: MemorySearch) -> ToolOutput:
        if given.corpus in ("wiki", "sessions"):
            other = " Use `sessions_search` for conversations." if given.corpus == "sessions" else ""
            raise ToolError(f"Only the corpus `memory` can be searched here.{other}")
        most = min(given.max_results or DEFAULT_RESULTS, MAX_RESULTS)
        workspace, files = str(call.run.workspace), Files(call.run)
        hits = self._native_thread.call(self._find, workspace, files, given.query, most)
        least = given.min_score or 0.0
        results = [_dump(hit) for hit in hits if hit.score >= least]
        return _json({"results": results, "provider": "none", "mode": "bm25"})

    def _find(self, workspace: str, files: Files, query: str, most: int) -> list[Hit]:
        now = stamps(files)
        known = self._indexes.get(workspace)
        if known is None or known[0] != now:
            if known is not None:
                known[1].close()
            notes = read_notes(files, now)
            known = self._indexes[workspace] = (
                now,
                MemoryIndex(passage for note in notes for passage in passages(note)),
            )
        self._indexes.move_to_end(workspace)
        if len(self._indexes) > MAX_INDEXES:
            self._indexes.popitem(last=False)[1][1].close()
        return list(known[1].search(query, most))

    def _get(self, call: Invocation, given: MemoryGet) -> ToolOutput:
        if not is_note(given.path):
            raise ToolError(
                "Notes are `MEMORY.md` and the Markdown files in `memory/`. Use `read` for others."
            )
        files = Files(call.run)
        if not files.exists(given.path):
            return _json({"status": "not_found", "text": "", "path": given.path})
        lines = files.read(given.path, MAX_BYTES).decode("utf-8", "replace").splitlines()
        first, count = given.from_line or 1, min(given.lines or MAX_LINES, MAX_LINES)
        text = "\n".join(lines[first - 1 : first - 1 + count])
        left = max(len(lines) - (first - 1 + count), 0)
        return _json({"path": given.path, "text": text, "from": first, "moreLines": left})


def _absence(agent: AgentSettings, _: Settings) -> str | None:
    return None if agent.workspace is not None else "the agent has no workspace"


def _dump(hit: Hit) -> dict[str, Any]:
    passage = hit.passage
    return {
        "path": passage.path,
        "startLine": passage.first_line,
        "endLine": passage.last_line,
        "score": hit.score,
        "snippet": passage.text,
        "source": "memory",
    }


def _json(value: dict[str, Any]) -> ToolOutput:
    return ToolOutput(orjson.dumps(value).decode(), value)
