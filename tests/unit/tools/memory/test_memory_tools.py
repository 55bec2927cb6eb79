"""Notes are found by their words, at once and without any provider."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest

from app.concurrency.native_thread import NativeThread
from app.tools.builtin.memory import MemoryTools
from tests.unit.tools.files.agent_files import AgentFiles

NOTES = "# People\n\nAnn likes green tea.\n\n# Servers\n\nThe backup runs on host kestrel at night.\n"


@pytest.fixture
def files(tmp_path: Path) -> AgentFiles:
    files = AgentFiles(tmp_path)
    (files.workspace / "MEMORY.md").write_text(NOTES)
    (files.workspace / "memory").mkdir()
    (files.workspace / "memory/2026-11-27.md").write_text(
        "我们决定用 PostgreSQL 做数据库。\nDéploiement prévu lundi."
    )
    return files


def search(
    files: AgentFiles, query: str, tools: MemoryTools | None = None, **more: Any
) -> list[dict[str, Any]]:
    with closing(MemoryTools(NativeThread())) as own:
        tool, _ = (tools or own).tools()
        output = files.call(tool, query=query, **more)
    assert not output.is_error, output.text
    results: list[dict[str, Any]] = orjson.loads(output.text)["results"]
    return results


@pytest.mark.parametrize(
    ("query", "path", "line"),
    [
        ("where does the backup run?", "MEMORY.md", 5),
        ("tea", "MEMORY.md", 1),
        ("数据库", "memory/2026-11-27.md", 1),
        ("deploiement", "memory/2026-11-27.md", 1),
        ('"kestrel" OR NEAR(', "MEMORY.md", 5),
    ],
)
def test_the_best_passage_comes_first(files: AgentFiles, query: str, path: str, line: int):
    first, *_ = search(files, query)
    assert (first["path"], first["startLine"]) == (path, line)
    assert 0 < first["score"] <= 1


@pytest.mark.parametrize("query", ["zebra", "***", "' ; drop table passages"])
def test_nothing_is_found(files: AgentFiles, query: str):
    assert search(files, query) == []


def test_a_changed_note_is_read_again(files: AgentFiles):
    with closing(MemoryTools(NativeThread())) as tools:
        assert search(files, "zebra", tools) == []
        (files.workspace / "memory/new.md").write_text("A zebra.")
        assert [one["path"] for one in search(files, "zebra", tools)] == ["memory/new.md"]
        (files.workspace / "memory/new.md").unlink()
        assert search(files, "zebra", tools) == []


def test_links_that_lead_out_are_no_notes(files: AgentFiles):
    (files.workspace.parent / "secret.md").write_text("zebra")
    (files.workspace / "memory/out.md").symlink_to(files.workspace.parent / "secret.md")
    assert search(files, "zebra") == []


def test_bounds(files: AgentFiles):
    assert len(search(files, "the tea backup", maxResults=1)) == 1
    assert search(files, "tea", minScore=0.99) == []


def test_lines_of_a_note(files: AgentFiles):
    _, get = MemoryTools(NativeThread()).tools()
    found = orjson.loads(files.call(get, path="MEMORY.md", **{"from": 3}, lines=1).text)
    assert found == {"path": "MEMORY.md", "text": "Ann likes green tea.", "from": 3, "moreLines": 4}
    missing = orjson.loads(files.call(get, path="memory/none.md").text)
    assert missing == {"status": "not_found", "text": "", "path": "memory/none.md"}
    for path in ("secrets.txt", "../MEMORY.md", "memory/../../x.md"):
        assert "Notes are `MEMORY.md`" in files.error(get, path=path)
