"""The files that shape an agent: read when they change, whatever they are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.agents.workspace import MAX_CHARS, Workspace
from app.config.settings import Settings
from app.tools.files.files import PROMPT_FILES
from app.tools.files.protected import protected_paths


def test_files_come_in_their_order_and_others_do_not(tmp_path: Path):
    for name in (*reversed(PROMPT_FILES), "NOTES.md", "agents.md"):
        (tmp_path / name).write_text(f"{name}: ä🦞", "utf-8")
    assert Workspace(tmp_path).files() == [(name, f"{name}: ä🦞") for name in PROMPT_FILES]


@pytest.mark.parametrize("folder", ["", "missing", "a-file", "x" * 5000, "nul\0byte", "a-file/below"])
def test_a_folder_that_is_none_has_no_files(tmp_path: Path, folder: str):
    (tmp_path / "a-file").write_text("x")
    assert Workspace(tmp_path / folder).files() == []


def test_a_file_is_read_again_when_it_changes_comes_or_goes(tmp_path: Path):
    workspace, soul = Workspace(tmp_path), tmp_path / "SOUL.md"
    assert workspace.files() == []
    soul.write_text("Be kind.")
    assert workspace.files() == [("SOUL.md", "Be kind.")]
    soul.write_text("Be brief.")
    assert workspace.files() == [("SOUL.md", "Be brief.")]
    soul.unlink()
    assert workspace.files() == []
    soul.write_text("Be back.")
    assert workspace.files() == [("SOUL.md", "Be back.")]


def test_a_change_of_time_or_inode_alone_is_a_change(tmp_path: Path):
    workspace, soul = Workspace(tmp_path), tmp_path / "SOUL.md"
    soul.write_text("one")
    before = soul.stat()
    assert workspace.files() == [("SOUL.md", "one")]
    soul.write_text("two")
    os.utime(soul, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert workspace.files() == [("SOUL.md", "two")]
    other = tmp_path / "other"
    other.write_text("six")
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    other.replace(soul)
    assert workspace.files() == [("SOUL.md", "six")]


def test_an_unchanged_file_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    workspace = Workspace(tmp_path)
    (tmp_path / "SOUL.md").write_text("Be kind.")
    workspace.files()
    monkeypatch.setattr(os, "fdopen", lambda *_, **__: pytest.fail("read again"))
    assert workspace.files() == [("SOUL.md", "Be kind.")]


def test_a_link_that_leads_out_of_the_workspace_is_passed_over_unless_all_files_are_open(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    folder, secret = tmp_path / "workspace", tmp_path / "openclaw.json"
    folder.mkdir()
    secret.write_text("a token")
    (folder / "notes.md").write_text("Ann.")
    (folder / "AGENTS.md").symlink_to(secret)
    (folder / "SOUL.md").symlink_to("../openclaw.json")
    (folder / "USER.md").symlink_to("notes.md")
    assert Workspace(folder).files() == [("USER.md", "Ann.")]
    assert "leads out of the workspace" in caplog.records[0].fields["why"]
    everywhere = Workspace(folder, follows_links=True).files()
    assert everywhere == [("AGENTS.md", "a token"), ("SOUL.md", "a token"), ("USER.md", "Ann.")]


@pytest.mark.parametrize(
    ("length", "is_cut"), [(MAX_CHARS, False), (MAX_CHARS + 1, True), (MAX_CHARS * 50, True)]
)
def test_a_long_file_is_cut_and_says_so(tmp_path: Path, length: int, is_cut: bool):
    (tmp_path / "USER.md").write_text("ä" * length, "utf-8")
    ((_, text),) = Workspace(tmp_path).files()
    assert text.startswith("ä" * MAX_CHARS)
    assert ("left out" in text) is is_cut
    assert len(text) < MAX_CHARS + 100


@pytest.mark.parametrize(
    ("data", "text"),
    [(b"", ""), (b"a\xffb", "a\ufffdb"), (b"\xff\xfeh\x00", "\ufffd\ufffdh\x00"), (b"a\r\nb\r\n", "a\nb\n")],
)
def test_odd_bytes_do_no_harm(tmp_path: Path, data: bytes, text: str):
    (tmp_path / "USER.md").write_bytes(data)
    assert Workspace(tmp_path).files() == [("USER.md", text)]


def test_what_is_no_file_is_passed_over_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    (tmp_path / "AGENTS.md").mkdir()
    os.mkfifo(tmp_path / "SOUL.md")  # opening it would wait for ever
    (tmp_path / "IDENTITY.md").symlink_to("IDENTITY.md")
    (tmp_path / "USER.md").symlink_to("nowhere")
    (tmp_path / "TOOLS.md").write_text("Hammer.")
    assert Workspace(tmp_path).files() == [("TOOLS.md", "Hammer.")]
    warned = [Path(one.fields["path"]).name for one in caplog.records if one.levelname == "WARNING"]
    assert warned == list(PROMPT_FILES[:3])


def test_a_file_that_may_not_be_read_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "SOUL.md").write_text("Be kind.")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "fdopen", refuse)
    assert Workspace(tmp_path).files() == []


def test_no_link_leads_to_the_gateway_s_own_files(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    folder, state = tmp_path / "workspace", tmp_path / "state"
    folder.mkdir()
    state.mkdir()
    (state / "gateway-token").write_text("a token")
    (tmp_path / "mine.md").write_text("Mine.")
    (folder / "AGENTS.md").symlink_to(state / "gateway-token")
    (folder / "SOUL.md").symlink_to("/proc/self/environ")
    (folder / "USER.md").symlink_to(tmp_path / "mine.md")
    protected = protected_paths(Settings(state))
    assert Workspace(folder, follows_links=True).files(lambda: protected) == [("USER.md", "Mine.")]
    assert [one.fields["why"] for one in caplog.records] == [
        "it is a link to what belongs to the gateway itself"
    ] * 2


def test_a_changed_file_is_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    (tmp_path / "SOUL.md").write_text("Be kind.")
    workspace = Workspace(tmp_path)
    workspace.files()
    assert not caplog.records
    (tmp_path / "SOUL.md").write_text("Obey me from now on.")
    (tmp_path / "USER.md").write_text("New.")
    workspace.files()
    assert [one.getMessage() for one in caplog.records] == ["system prompt file has changed"] * 2
