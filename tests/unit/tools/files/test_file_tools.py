"""The file tools: what the model gets, and what it finds when it asks for something that is not there."""

from __future__ import annotations

import base64
import errno
import os
from pathlib import Path

import pytest

from app.tools.builtin.apply_patch import apply_patch
from app.tools.builtin.edit import edit
from app.tools.builtin.ls import ls
from app.tools.builtin.read import MAX_BYTES, read
from app.tools.builtin.view_image import view_image
from app.tools.builtin.write import write
from tests.unit.tools.files.agent_files import AgentFiles

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


class TestRead:
    def test_the_text_as_it_is(self, files: AgentFiles):
        (files.workspace / "a.txt").write_bytes("Grüße\r\n\n  x".encode())
        assert files.call(read(), path="a.txt").text == "Grüße\r\n\n  x"
        assert files.call(read(), path=str(files.workspace / "a.txt")).text == "Grüße\r\n\n  x"

    def test_by_lines(self, files: AgentFiles):
        (files.workspace / "a.txt").write_text("1\n2\n3\n4\n")
        part = files.call(read(), path="a.txt", offset=2, limit=2).text
        assert part == "2\n3\n\n[1 more line(s) in file. Use offset=4 to continue.]"
        assert files.call(read(), path="a.txt", offset="4").text == "4\n"
        assert "offset 9 is behind its end" in files.error(read(), path="a.txt", offset=9)

    def test_a_long_file_is_read_in_parts_without_loss(self, files: AgentFiles):
        whole = "".join(f"{number} {'ä' * (number % 100)}\n" for number in range(5000))
        (files.workspace / "long.txt").write_text(whole)
        found, offset = "", 1
        while True:
            text, _, note = files.call(read(), path="long.txt", offset=offset).text.partition("\n\n[")
            found += text if not note else f"{text}\n"
            if not note:
                break
            offset = int(note.split("offset=")[1].split(" ")[0])
        assert found == whole

    def test_a_long_line_is_read_in_parts_without_loss(self, files: AgentFiles):
        whole = "é" * MAX_BYTES
        (files.workspace / "line.txt").write_text(whole)
        found, cursor = "", {}
        while True:
            text, _, note = files.call(read(), path="line.txt", **cursor).text.partition("\n\n[")
            found += text
            if not note:
                break
            cursor = {"cursor": int(note.split("cursor=")[1].split(" ")[0])}
        assert found == whole

    def test_a_missing_file(self, files: AgentFiles):
        (files.workspace / "Notes.md").write_text("x")
        message = files.error(read(), path="notes.md")
        assert message == f"File not found: {files.workspace}/notes.md. Did you mean: Notes.md?"
        assert files.call(read(), path="none", optional=True).text == ""

    @pytest.mark.parametrize("path", ["", " ", "a\0b", "x" * 5000])
    def test_no_path(self, files: AgentFiles, path: str):
        assert "`path` must be a path" in files.error(read(), path=path)

    def test_what_is_no_text(self, files: AgentFiles):
        (files.workspace / "x.bin").write_bytes(b"a\0b")
        (files.workspace / "x.png").write_bytes(PNG)
        (files.workspace / "folder").mkdir()
        os.mkfifo(files.workspace / "pipe")
        assert "binary file of 3 bytes" in files.error(read(), path="x.bin")
        assert "view_image" in files.error(read(), path="x.png")
        assert "list it with `ls`" in files.error(read(), path="folder")
        assert "not an ordinary file" in files.error(read(), path="pipe")
        assert "is outside" in files.error(read(), path="/dev/zero")


class TestWrite:
    def test_a_new_file_in_new_folders(self, files: AgentFiles):
        output = files.call(write(), path="a/b/c.txt", content="Grüße")
        assert output.text == "Successfully wrote 7 bytes to a/b/c.txt"
        assert (files.workspace / "a/b/c.txt").read_text() == "Grüße"

    def test_a_file_keeps_its_mode(self, files: AgentFiles):
        script = files.workspace / "run.sh"
        script.write_text("old")
        script.chmod(0o755)
        files.call(write(), path="run.sh", content="new")
        assert (script.read_text(), script.stat().st_mode & 0o777) == ("new", 0o755)
        assert [one.name for one in files.workspace.iterdir()] == ["run.sh"]

    def test_a_folder_and_what_lies_below_a_file(self, files: AgentFiles):
        (files.workspace / "folder").mkdir()
        (files.workspace / "file").write_text("x")
        assert "is a folder" in files.error(write(), path="folder", content="x")
        assert "a part of this path is a file" in files.error(write(), path="file/x", content="x")

    def test_a_full_disk_changes_nothing(self, files: AgentFiles, monkeypatch: pytest.MonkeyPatch):
        (files.workspace / "a.txt").write_text("old")

        def full(*_: object, **__: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr("os.fchmod", full)
        assert "no space is left" in files.error(write(), path="a.txt", content="new")
        assert [one.name for one in files.workspace.iterdir()] == ["a.txt"]
        assert (files.workspace / "a.txt").read_text() == "old"

    def test_the_files_of_the_prompt_are_people_s(self, files: AgentFiles):
        (files.workspace / "link.md").symlink_to("AGENTS.md")
        (files.workspace / "here").symlink_to(".")
        for path in ("AGENTS.md", "./SOUL.md", f"{files.workspace}/USER.md", "here/TOOLS.md"):
            assert "part of the system prompt" in files.error(write(), path=path, content="Obey me.")
        (files.workspace / "AGENTS.md").write_text("Rules.")
        assert "part of the system prompt" in files.error(write(), path="link.md", content="Obey me.")
        changed = [{"oldText": "Rules.", "newText": "Obey me."}]
        assert "part of the system prompt" in files.error(edit(), path="AGENTS.md", edits=changed)
        deleted = "*** Begin Patch\n*** Delete File: AGENTS.md\n*** End Patch"
        assert "part of the system prompt" in files.error(apply_patch(), input=deleted)
        assert (files.workspace / "AGENTS.md").read_text() == "Rules."
        files.call(write(), path="docs/AGENTS.md", content="another project's")
        files.allow(write_prompt_files=True)
        files.call(write(), path="AGENTS.md", content="Be kind.")
        assert (files.workspace / "AGENTS.md").read_text() == "Be kind."


class TestNothingOutside:
    @pytest.fixture(autouse=True)
    def secret(self, files: AgentFiles) -> Path:
        outside = files.workspace.parent / "secret.txt"
        outside.write_text("secret")
        (files.workspace / "file-link").symlink_to(outside)
        (files.workspace / "folder-link").symlink_to(outside.parent)
        (files.workspace / "relative-link").symlink_to("../secret.txt")
        (files.workspace / "proc").symlink_to("/proc/self/cwd")
        (files.workspace / "a").mkdir()
        return outside

    PATHS = (
        "../secret.txt",
        "a/../../secret.txt",
        "./folder-link/secret.txt",
        "file-link",
        "relative-link",
        "folder-link/workspace/../secret.txt",
        "{outside}",
        "{workspace}/../secret.txt",
        "//etc/passwd",
        "~/.ssh/id_rsa",
        "proc/README.md",
    )

    @pytest.mark.parametrize("path", PATHS)
    @pytest.mark.parametrize("with_openat2", [True, False])
    def test_no_path_leads_out(
        self, files: AgentFiles, secret: Path, path: str, with_openat2: bool, monkeypatch: pytest.MonkeyPatch
    ):
        if not with_openat2:
            monkeypatch.setattr("app.tools.files.beneath.OPENAT2", 100_000)
        path = path.format(outside=secret, workspace=files.workspace)
        for tool in (read, ls, view_image):
            assert "outside" in files.error(tool(), path=path)
        files.error(write(), path=path, content="x")
        files.error(edit(), path=path, edits=[{"oldText": "secret", "newText": "x"}])
        patch = f"*** Begin Patch\n*** Update File: {path}\n-secret\n+x\n*** End Patch"
        files.error(apply_patch(), input=patch)
        assert secret.read_text() == "secret"
        assert sorted(one.name for one in secret.parent.iterdir()) == ["secret.txt", "state", "workspace"]

    def test_links_that_stay_inside_are_followed(self, files: AgentFiles):
        (files.workspace / "real.txt").write_text("inside")
        (files.workspace / "link.txt").symlink_to("real.txt")
        assert files.call(read(), path="link.txt").text == "inside"
        files.call(write(), path="link.txt", content="changed")
        assert (files.workspace / "real.txt").read_text() == "changed"
        assert (files.workspace / "link.txt").is_symlink()

    def test_files_everywhere_if_the_operator_says_so_but_not_the_gateway_s_own(
        self, files: AgentFiles, secret: Path
    ):
        files.allow(workspace_only=False)
        (files.state / "gateway-token").write_text("token")
        assert files.call(read(), path=str(secret)).text == "secret"
        for path in (f"{files.state}/gateway-token", "../state/gateway-token", "../openclaw.json"):
            (files.workspace.parent / "openclaw.json").write_text("{}")
            assert "belongs to the gateway" in files.error(read(), path=path)
        assert "belongs to the gateway" in files.error(write(), path="../state/x", content="x")

    def test_a_workspace_around_the_gateway_s_own_files(self, files: AgentFiles):
        (files.state / "gateway-token").write_text("token")
        files.workspace = files.state.parent
        assert "belongs to the gateway" in files.error(read(), path="state/gateway-token")
        assert "belongs to the gateway" in files.error(ls(), path="state")


class TestEdit:
    def change(self, files: AgentFiles, *edits: tuple[str, str]) -> dict[str, object]:
        return {"path": "a.py", "edits": [{"oldText": old, "newText": new} for old, new in edits]}

    def test_pieces_are_replaced(self, files: AgentFiles):
        (files.workspace / "a.py").write_text("a = 1\nb = 2\n")
        output = files.call(edit(), **self.change(files, ("a = 1", "a = 3"), ("b = 2", "a = 1")))
        assert output.text == "Successfully replaced 2 block(s) in a.py."
        assert (files.workspace / "a.py").read_text() == "a = 3\na = 1\n"

    def test_line_ends_of_the_file_stay(self, files: AgentFiles):
        (files.workspace / "a.py").write_bytes(b"a\r\nb\r\nc\r\n")
        files.call(edit(), **self.change(files, ("a\nb", "x\ny")))
        assert (files.workspace / "a.py").read_bytes() == b"x\r\ny\r\nc\r\n"

    @pytest.mark.parametrize(
        ("old", "what"),
        [
            ("def f(x):\n    return x", "Lines 1 to 2 differ from it in white space alone"),
            ("    return  y", "was not found"),
            ("dfe f(x):", "The most similar lines begin at line 1"),
            ("x", "is there 2 times"),
            ("", "oldText is empty"),
        ],
    )
    def test_a_text_that_is_not_there_once(self, files: AgentFiles, old: str, what: str):
        text = "def f(x):\n\treturn x\n"
        (files.workspace / "a.py").write_text(text)
        message = files.error(edit(), **self.change(files, (old, "new")))
        assert what in message
        assert (files.workspace / "a.py").read_text() == text

    def test_edits_that_overlap_or_change_nothing(self, files: AgentFiles):
        (files.workspace / "a.py").write_text("abc")
        assert "overlap" in files.error(edit(), **self.change(files, ("ab", "x"), ("bc", "y")))
        assert "change nothing" in files.error(edit(), **self.change(files, ("abc", "abc")))


class TestApplyPatch:
    def test_files_are_added_changed_moved_and_deleted(self, files: AgentFiles):
        (files.workspace / "a.py").write_text("one\ntwo\nthree\n")
        (files.workspace / "old.txt").write_text("x\n")
        (files.workspace / "gone.txt").write_text("x")
        patch = (
            "*** Begin Patch\n*** Add File: new/n.txt\n+first\n+\n*** Update File: a.py\n@@ one\n-two\n+2\n"
            " three\n*** Update File: old.txt\n*** Move to: moved.txt\n-x\n+y\n*** Delete File: gone.txt\n"
            "*** End Patch"
        )
        assert files.call(apply_patch(), input=patch).text.splitlines()[1:] == [
            "A new/n.txt",
            "M a.py",
            "M moved.txt",
            "D gone.txt",
        ]
        assert (files.workspace / "new/n.txt").read_text() == "first\n\n"
        assert (files.workspace / "a.py").read_text() == "one\n2\nthree\n"
        assert (files.workspace / "moved.txt").read_text() == "y\n"
        assert sorted(one.name for one in files.workspace.iterdir()) == ["a.py", "moved.txt", "new"]

    @pytest.mark.parametrize(
        "body",
        [
            "*** Update File: a.py\n-nowhere\n+x",
            "*** Update File: missing.py\n-a\n+b",
            "*** Add File: a.py\n+x",
            "*** Add File: ../out.txt\n+x",
            "*** Delete File: missing.py",
            "*** Update File: a.py\n*** Move to: ../b.py\n-one\n+1",
            "*** Update File: a.py",
            "no header",
            "*** Add File: z.txt\nno plus",
            "",
        ],
    )
    def test_all_or_nothing(self, files: AgentFiles, body: str):
        (files.workspace / "a.py").write_text("one\n")
        patch = f"*** Begin Patch\n*** Add File: first.txt\n+x\n{body}\n*** End Patch"
        if body in ("no header", ""):
            patch = f"*** Begin Patch\n{body}\n*** End Patch"
        assert files.error(apply_patch(), input=patch)
        assert [one.name for one in files.workspace.iterdir()] == ["a.py"]
        assert (files.workspace / "a.py").read_text() == "one\n"


class TestLs:
    def test_names_in_quotes(self, files: AgentFiles):
        (files.workspace / "b folder").mkdir()
        (files.workspace / 'a"\n').write_text("x")
        assert files.call(ls()).text == '"a\\"\\n"\n"b folder/"'
        assert files.call(ls(), path="b folder").text == "(empty directory)"

    def test_in_parts(self, files: AgentFiles):
        for name in "abc":
            (files.workspace / name).write_text("")
        assert files.call(ls(), limit=2).text == '"a"\n"b"\n\n[1 more. Use after="b" to continue.]'
        assert files.call(ls(), after="b").text == '"c"'


def test_a_picture_is_shown_to_the_model(files: AgentFiles):
    (files.workspace / "x.png").write_bytes(PNG)
    (files.workspace / "x.txt").write_text("no picture")
    output = files.call(view_image(), path="x.png", prompt="What is it?")
    assert (output.text, output.images[0].mime) == ("x.png: image/png\nWhat is it?", "image/png")
    assert "not an image" in files.error(view_image(), paths=["x.png", "x.txt"])
    assert "Give `path`" in files.error(view_image())
