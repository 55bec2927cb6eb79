"""Which commands run, are asked about, or are denied: a table for each rule."""

from __future__ import annotations

import itertools
import os
import time
from pathlib import Path
from typing import Any

import pytest

from app.config.tool_settings import EXEC_MODES, ExecSettings
from app.tools.approvals.arg_pattern import are_matched
from app.tools.approvals.document import AllowlistEntry
from app.tools.exec.allowlist import Segment, allows, is_named, is_path_matched
from app.tools.exec.gate import ExecRequest
from app.tools.exec.permission import Verdict, analyse, decide, strictest, verdict_of
from app.tools.exec.programs import Program, find_program
from app.tools.exec.safe_bins import is_safe

ALLOW, ASK, DENY = Verdict.ALLOW, Verdict.ASK, Verdict.DENY


@pytest.mark.parametrize(
    ("security", "ask", "known", "unknown"),
    [
        ("deny", "off", DENY, DENY),
        ("deny", "on-miss", DENY, DENY),
        ("deny", "always", DENY, DENY),
        ("allowlist", "off", ALLOW, DENY),
        ("allowlist", "on-miss", ALLOW, ASK),
        ("allowlist", "always", ASK, ASK),
        ("full", "off", ALLOW, ALLOW),
        ("full", "on-miss", ALLOW, ALLOW),
        ("full", "always", ASK, ASK),
    ],
)
def test_each_rule(security: Any, ask: Any, known: Verdict, unknown: Verdict):
    assert verdict_of(security, ask, True) is known
    assert verdict_of(security, ask, False) is unknown


def test_the_modes_are_pairs():
    assert ExecSettings().rule == EXEC_MODES["ask"] == ("allowlist", "on-miss")
    assert ExecSettings(security="full", ask="always").rule == ("full", "always")


RULES: list[Any] = list(itertools.product(("deny", "allowlist", "full"), ("off", "on-miss", "always")))


@pytest.mark.parametrize("known", [True, False])
def test_the_stricter_of_two_rules_counts_and_a_wish_is_never_milder(known: bool):
    for one, other in itertools.product(RULES, RULES):
        both = decide([one, other], None, known)
        assert both == max(verdict_of(*one, known), verdict_of(*other, known))
        for wish in ("off", "on-miss", "always", "nonsense"):
            assert decide([one, other], wish, known) >= both
    assert decide([("full", "off")], "always", known) is ASK
    assert decide([("allowlist", "off")], "always", False) is DENY  # no question where none is to be asked
    assert decide([("full", "off")], "on-miss", known) is (ALLOW if known else ASK)


def test_the_strictest_words_are_shown():
    assert strictest([("full", "off"), ("allowlist", "always")]) == ("allowlist", "always")


def program(path: str, *, bare: bool = True, real: str | None = None) -> Program:
    return Program(Path(path), Path(real or path), bare, "1")


@pytest.mark.parametrize(
    ("pattern", "found", "matches"),
    [
        ("/usr/bin/git", program("/usr/bin/git"), True),
        ("/usr/bin/git", program("/usr/local/bin/git"), False),
        ("/usr/bin/g*", program("/usr/bin/git"), True),
        ("/usr/*", program("/usr/bin/git"), False),
        ("/usr/**", program("/usr/bin/git"), True),
        ("/**/git", program("/usr/bin/git"), True),
        ("/usr/**/git", program("/usr/git"), True),
        ("**", program("/usr/bin/git"), True),  # without a slash it is a name
        ("**", program("/usr/bin/git", bare=False), False),
        ("/opt/*/bin/?sh", program("/opt/x/bin/ash"), True),
        ("git", program("/usr/bin/git"), True),
        ("g*", program("/usr/bin/git"), True),
        ("git", program("/home/ann/git", bare=False), False),  # a path is never meant by a name
        ("GIT", program("/usr/bin/git"), False),
        ("git", program("/usr/bin/gitk"), False),
        ("/usr/bin/python3.11", program("/usr/bin/python3", real="/usr/bin/python3.11"), True),
        ("/usr/bin/python3", program("/usr/bin/python3", real="/usr/bin/python3.11"), True),
        ("usr/bin/git", program("/usr/bin/git"), False),
        ("~/bin/x", program(str(Path.home() / "bin/x")), True),
    ],
)
def test_patterns(pattern: str, found: Program, matches: bool):
    assert is_named(pattern, found) is matches


def test_a_glob_with_many_stars_is_quick():
    began = time.thread_time()
    assert not is_path_matched("/" + "**/" * 200 + "x" + "*a" * 300, "/" + "a/" * 400 + "b" * 1000)
    assert time.thread_time() - began < 2


@pytest.mark.parametrize(
    ("pattern", "arguments", "matches"),
    [
        ("^status$", ["status"], True),
        ("^status$", ["status", "-s"], False),
        ("^(log|diff)( |$)", ["log", "-1"], True),
        ("^(log|diff)( |$)", ["logs"], False),
        ("^$", [], True),
        ("x", ["a", "x y"], True),
        ("(", ["("], False),  # no regular expression
        ("(?P<a", ["a"], False),
    ],
)
def test_argument_patterns(pattern: str, arguments: list[str], matches: bool):
    assert are_matched(pattern, arguments) is matches


@pytest.mark.parametrize("pattern", ["^(a+)+$", "^(a|a)*$", "^(a|aa)+$", "(.*a){25}x", r"^(\w+\s?)*$"])
def test_a_catastrophic_expression_matches_nothing_soon(pattern: str):
    began = time.thread_time()
    assert not are_matched(pattern, ["a" * 40 + "!", "b"])
    assert not are_matched(pattern, ["a" * 8000 + "!"])
    assert not are_matched(pattern, ["a" * 9000])
    assert time.thread_time() - began < 1


def test_a_grant_allows_its_very_words_alone_in_its_directory(tmp_path: Path):
    entry = AllowlistEntry(
        pattern="/usr/bin/uname", source="allow-always", argv=("uname", "-s"), cwd=str(tmp_path)
    )
    same = Segment(("uname", "-s"), program("/usr/bin/uname"))
    assert allows(entry, same, is_alone=True, workdir=tmp_path)
    assert not allows(entry, same, is_alone=False, workdir=tmp_path)
    assert not allows(entry, same, is_alone=True, workdir=tmp_path / "x")
    for other in (
        Segment(("uname", "-a"), program("/usr/bin/uname")),
        Segment(("uname", "-s"), program("/home/ann/bin/uname")),
        Segment(("uname", "-s"), None),
    ):
        assert not allows(entry, other, is_alone=True, workdir=tmp_path)
    # What a client may have left of it allows nothing.
    cut = AllowlistEntry(pattern="/usr/bin/uname", source="allow-always")
    assert not allows(cut, Segment(("uname",), program("/usr/bin/uname")), is_alone=True, workdir=tmp_path)


SAFE, TRUSTED = ("cut", "uniq", "head", "tail", "tr", "wc", "mytool", "bash", "python3", "sed"), ("/usr/bin",)


@pytest.mark.parametrize(
    "command",
    """
    head|head -c 3|head -n 5 -q|head -5|head -n5|head -qn5|head --lines=5|head --lines 5|tail -n +5|tail -z
    cut -d : -f 1|cut -d: -f1,2|cut --delimiter=: --fields=1|cut -c1-3 -s|tr a b|tr -d x|tr -cd a-z|tr -s a b
    uniq|uniq -c|uniq -f 1 -i|wc|wc -l|wc -lw|wc --lines|mytool|mytool -x --some-word
    """.replace("\n", "|").split("|"),
)
def test_safe_programs_on_their_input(command: str):
    words = command.split()
    if words:
        assert is_safe(words, program(f"/usr/bin/{words[0]}"), SAFE, TRUSTED), command


@pytest.mark.parametrize(
    "command",
    """
    head notes.txt|head -n 5 notes.txt|head -n|head -c 3 -|head --lines|head --files=x|head -x|head -- f
    tail -f|tail --follow=name|tail -F x|tail --pid=1|tail /etc/passwd|cut -f 1 x|cut --fields|cut -x|tr a b c
    uniq in|uniq in out|uniq -c in|wc x|wc --files0-from=x|wc --files0-from x|wc -|mytool x|mytool -o/etc/x
    mytool --out=x|mytool -ofile|mytool --Out|mytool -|mytool --|bash|bash -x|python3|python3 -i|sed -n|other
    """.replace("\n", "|").split("|"),
)
def test_what_names_a_file_or_runs_something_is_not_safe(command: str):
    words = command.split()
    if words:
        assert not is_safe(words, program(f"/usr/bin/{words[0]}"), SAFE, TRUSTED), command


def test_a_safe_program_lies_in_a_trusted_folder():
    assert not is_safe(["head"], program("/home/ann/head"), SAFE, TRUSTED)
    assert not is_safe(["head"], program("/usr/bin/sub/head"), SAFE, TRUSTED)
    assert not is_safe(["mytool"], program("/usr/bin/mytool", real="/usr/bin/python3.11"), SAFE, TRUSTED)
    assert not is_safe(["head"], program("/usr/bin/head"), (), TRUSTED)
    assert not is_safe(["head"], program("/home/ann/bin/head"), SAFE, ("bin",))


def executable(path: Path, text: str = "#!/bin/sh\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


class TestPrograms:
    def test_the_first_folder_that_has_it_counts(self, tmp_path: Path):
        executable(tmp_path / "a" / "x").chmod(0o644)
        executable(tmp_path / "b" / "x")
        executable(tmp_path / "c" / "x")
        folders = [str(tmp_path / name) for name in "abc"]
        found = find_program("x", tmp_path, folders)
        assert found is not None
        assert (found.path, found.is_bare) == (tmp_path / "b" / "x", True)
        assert find_program("y", tmp_path, folders) is None

    def test_behind_a_folder_that_is_not_absolute_nothing_is_known(self, tmp_path: Path):
        executable(tmp_path / "b" / "x")
        for strange in ("", ".", "bin"):
            assert find_program("x", tmp_path, [strange, str(tmp_path / "b")]) is None
            assert find_program("x", tmp_path, [str(tmp_path / "b"), strange]) is not None

    def test_a_path_is_looked_up_in_the_directory_of_the_command(self, tmp_path: Path):
        executable(tmp_path / "work" / "x")
        found = find_program("./x", tmp_path / "work", [])
        assert found is not None
        assert (found.path, found.is_bare) == (tmp_path / "work" / "x", False)
        again = find_program("../work/x", tmp_path / "work", [])
        assert again is not None
        assert again.path == found.path

    def test_links_are_followed_for_the_folder_and_for_the_file(self, tmp_path: Path):
        real = executable(tmp_path / "real" / "tool-1.2")
        (tmp_path / "real" / "tool").symlink_to("tool-1.2")
        (tmp_path / "link").symlink_to("real")
        found = find_program("tool", tmp_path, [str(tmp_path / "link")])
        assert found is not None
        assert (found.path, found.real_path) == (tmp_path / "real" / "tool", real)

    def test_another_file_is_another_identity(self, tmp_path: Path):
        path = executable(tmp_path / "x")
        before = find_program("./x", tmp_path, [])
        path.write_text("#!/bin/sh\nevil\n")
        after = find_program("./x", tmp_path, [])
        assert before is not None
        assert after is not None
        assert before.identity != after.identity

    @pytest.mark.parametrize("word", ["./no", "/", "/nonexistent/x", "x" * 5000, "./" + "a" * 300])
    def test_what_is_no_program(self, tmp_path: Path, word: str):
        assert find_program(word, tmp_path, ["/usr/bin"]) is None


class TestAnalysis:
    @pytest.fixture(autouse=True)
    def _programs(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        for name in ("git", "make", "other"):
            executable(tmp_path / "bin" / name)
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")

    @pytest.mark.parametrize(
        ("command", "allowed"),
        [
            ("git status", True),
            ("git status -s", True),
            ("git push", False),
            ("git", False),
            ("git status && make", True),
            ("git status | head -3", True),
            ("git status; other", False),
            ("other && git status", False),
            ("git status | tee x", False),
            ("git status > x", False),
            ("git $(make)", False),
            ("make", True),
            ("./make", False),
            ("nosuchprogram", False),
            ("head -c 3", True),
            ("echo hi | wc -c", False),
            ("make &", False),
            ("make #x", False),
            ("A=1 make", False),
        ],
    )
    def test_every_part_has_to_be_allowed(self, tmp_path: Path, command: str, allowed: bool):
        entries = [AllowlistEntry(pattern="git", arg_pattern="^status( |$)"), AllowlistEntry(pattern="make")]
        executable(tmp_path / "work" / "make")
        request = ExecRequest(command, tmp_path / "work", {})
        settings = ExecSettings(safe_bin_trusted_dirs=("/usr/bin", "/bin"))
        assert analyse(request, settings, entries).is_allowed is allowed
        with_variable = ExecRequest(command, tmp_path / "work", {"LC_ALL": "C"})
        assert not analyse(with_variable, settings, entries).is_allowed

    def test_a_folder_put_in_front_comes_first(self, tmp_path: Path):
        executable(tmp_path / "mine" / "git")
        settings = ExecSettings(path_prepend=(str(tmp_path / "mine"),))
        found = analyse(ExecRequest("git", tmp_path, {}), settings, [])
        assert found.segments[0].program is not None
        assert found.segments[0].program.path == tmp_path / "mine" / "git"
        assert os.environ["PATH"].startswith(str(tmp_path / "bin"))
