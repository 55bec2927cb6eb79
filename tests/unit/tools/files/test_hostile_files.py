"""Files and calls that are made to harm whoever works on them."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest

from app.tools.builtin.apply_patch import apply_patch
from app.tools.builtin.edit import edit
from app.tools.builtin.ls import ls
from app.tools.builtin.read import read
from app.tools.builtin.view_image import view_image
from app.tools.builtin.write import write
from app.tools.display import valid_json
from app.tools.files import room
from tests.unit.tools.files.agent_files import AgentFiles

SECONDS = 10.0  # of CPU; what they guard against takes minutes


def test_a_patch_takes_time_in_proportion_to_its_size(files: AgentFiles):
    (files.workspace / "a.txt").write_text("a\n" * 100_000)
    started = time.process_time()
    for end in ("-b", "-a "):
        patch = ["*** Begin Patch", "*** Update File: a.txt", "@@", *["-a"] * 20_000, end, "*** End Patch"]
        if end == "-b":
            assert "not found" in files.error(apply_patch(), input="\n".join(patch))
        else:
            files.call(apply_patch(), input="\n".join(patch))
    assert time.process_time() - started < SECONDS
    assert (files.workspace / "a.txt").read_text() == "a\n" * 79_999


def test_so_does_a_patch_of_many_parts(files: AgentFiles):
    lines = [str(number) for number in range(900)]
    (files.workspace / "a.txt").write_text("\n".join(lines))
    parts = [line for number in lines for line in ("@@", f"-{number}", f"+{number}!")]
    patch = "\n".join(["*** Begin Patch", "*** Update File: a.txt", *parts, "*** End Patch"])
    files.call(apply_patch(), input=patch)
    assert (files.workspace / "a.txt").read_text() == "\n".join(f"{number}!" for number in lines)
    more = "\n".join(
        ["*** Begin Patch", "*** Update File: a.txt", *["@@", "-x", "+y"] * 1001, "*** End Patch"]
    )
    assert "more than 1000 places" in files.error(apply_patch(), input=more)


def test_so_does_the_search_for_what_was_meant(files: AgentFiles):
    letters = [*"abcdefghijklmnopqrstuvwxyz0123456789" * 8]
    lines = ["".join(random.Random(number).sample(letters, len(letters))) for number in range(3_000)]
    (files.workspace / "a.txt").write_text("\n".join(lines))
    (files.workspace / "b.txt").write_text("\n" * 200_000)
    started = time.process_time()
    files.error(edit(), path="a.txt", edits=[{"oldText": lines[0][::-1], "newText": ""}])
    files.error(edit(), path="b.txt", edits=[{"oldText": "\n" * 100_000 + "x", "newText": ""}])
    assert time.process_time() - started < SECONDS


def test_a_file_of_the_system_prompt_is_not_written_through_a_link(files: AgentFiles):
    (files.workspace / "notes.md").write_text("people's")
    (files.workspace / "USER.md").symlink_to("notes.md")
    for path in ("USER.md", "notes.md", "./x/../notes.md"):
        assert "part of the system prompt" in files.error(write(), path=path, content="mine")
    assert (files.workspace / "notes.md").read_text() == "people's"


def test_names_that_are_no_text_are_shown_with_question_marks(files: AgentFiles):
    name = (files.workspace / "secret").as_posix().encode() + b"\xff.txt"
    with open(name, "w"):
        pass
    message = files.error(read(), path="secret.txt")
    assert message.encode()
    assert valid_json({"a\udcff": ["b\udcff", 1, None]}) == {"a?": ["b?", 1, None]}


def test_what_processes_show_is_out_of_reach(files: AgentFiles):
    files.allow(workspace_only=False)
    for path in ("/proc/self/environ", f"/proc/{os.getpid()}/environ", "/proc/self/root/proc/self/environ"):
        assert "out of reach" in files.error(read(), path=path)
    assert "out of reach" in files.error(ls(), path="/proc/self/fd")


def test_the_last_of_the_disk_is_for_the_gateway(files: AgentFiles, monkeypatch: pytest.MonkeyPatch):
    class Full:
        f_blocks, f_frsize, f_bavail = 10_000_000, 4096, 60_000

    (files.workspace / "old.txt").write_text("x\n")
    monkeypatch.setattr(room.os, "fstatvfs", lambda _: Full)
    patch = "*** Begin Patch\n*** Update File: old.txt\n@@\n-x\n+y\n*** End Patch"
    assert "nearly full" in files.error(write(), path="new.txt", content="x")
    assert "nearly full" in files.error(apply_patch(), input=patch)
    delete = "*** Begin Patch\n*** Delete File: old.txt\n*** End Patch"
    files.call(apply_patch(), input=delete)
    assert list(Path(files.workspace).iterdir()) == []


@pytest.mark.parametrize("number", [1e308, -1e308, -1, 2**63, 2**41])
def test_numbers_without_measure_are_mistakes_of_the_model(files: AgentFiles, number: float):
    (files.workspace / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"0" * 100)
    for tool, arguments in (
        (view_image(), {"path": "a.png", "maxBytesMb": number}),
        (view_image(), {"path": "a.png", "maxImages": number}),
        (read(), {"path": "a.png", "cursor": number}),
        (read(), {"path": "a.png", "offset": number}),
        (read(), {"path": "a.png", "limit": number}),
        (ls(), {"limit": number}),
    ):
        assert "fault of the gateway" not in files.call(tool, **arguments).text
