"""What counts as a simple command, held against the shells themselves."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from app.tools.exec.shell_words import MAX_COMMAND, RESERVED, read_command

SIMPLE = [
    ("ls", [["ls"]]),
    ("  ls -la\t/tmp \n", [["ls", "-la", "/tmp"]]),
    ("echo hi | wc -c", [["echo", "hi"], ["wc", "-c"]]),
    ("a && b || c; d\ne", [["a"], ["b"], ["c"], ["d"], ["e"]]),
    ("a;", [["a"]]),
    ("git commit -m 'a $(b) > c & d *'", [["git", "commit", "-m", "a $(b) > c & d *"]]),
    ("""echo "x y"'z'w ''""", [["echo", "x yzw", ""]]),
    ("'a b' c", [["a b", "c"]]),
    ("rsync a:b/ --x=y", [["rsync", "a:b/", "--x=y"]]),
    ("echo 'two\nlines'", [["echo", "two\nlines"]]),
]
NOT_SIMPLE = r"""
a &  a & b  a > b  a>b  a < b  a 2>&1  a >> b  a <<< b  a << E  a <(b)  a >(b)  a |& b  a $(b)  a `b`  a $b
a ${b}  a "$b"  a "`b`"  a "\$b"  a\ b  a \  a *  a ?  a [b]  a {b,c}  ~/a  a ~  a #b  ! a  a !b  a "!b"  (a)
{ a; }  A=1 a  'A=1' a  cd /  cd / && a  eval a  exec a  . a  source a  command a  if a; then b; fi  time a
for a in b; do c; done  while a; do b; done  a(){ b; }  function a { b; }  a;;b  a; ;b  a | | b  a &&  a ||
a ||& b  ; a  | a  'a  "a  a 'b  a $'b'  a $"b"  %1  -a  ''  "" a  set -x  trap a b  printf -v PATH x
test -v 'a[$(b)]'  [ a ]  [[ a ]]  export A=1  alias a=b  coproc a  a é  é
""".replace("\n", "  ").split("  ")
CONTROLS = ["a\u00a0b", "a \x00b", "a \x1bb", "a\rb", "a \ud800", "a \\\nb"]


@pytest.mark.parametrize(("command", "segments"), SIMPLE)
def test_simple_commands_are_read_word_for_word(command: str, segments: list[list[str]]):
    assert read_command(command) == tuple(map(tuple, segments))


@pytest.mark.parametrize("command", [*NOT_SIMPLE, *CONTROLS, "", " \n", "a|", "a|||b"])
def test_whatever_needs_a_shell_is_not_simple(command: str):
    assert read_command(command) is None


def test_a_very_long_command_is_not_read():
    assert read_command("a" * MAX_COMMAND) is not None
    assert read_command("a" * (MAX_COMMAND + 1)) is None


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_what_a_shell_does_itself_is_reserved():
    """But for those that do nothing but print or return, as the programs of the same names do."""
    listed = subprocess.run(["bash", "-c", "compgen -b -k"], capture_output=True, text=True).stdout
    assert set(listed.split()) - RESERVED <= {"echo", "pwd", "true", "false"}


PROGRAM = """#!{python}
import json, os, sys
with open({log!r}, "a") as log:
    log.write(json.dumps([os.path.basename(sys.argv[0]), *sys.argv[1:]]) + "\\n")
"""
# What a hostile command may be made of.
PARTS = [
    *(
        "a",
        "b",
        "c",
        " ",
        " ",
        "  ",
        "\t",
        "\n",
        ";",
        "|",
        "||",
        "&&",
        "&",
        ">",
        "<",
        "$",
        "`",
        "$(a)",
        "`b`",
    ),
    *(
        "'",
        '"',
        "\\",
        "*",
        "?",
        "[",
        "]",
        "{",
        "}",
        "(",
        ")",
        "#",
        "!",
        "~",
        "=",
        "%",
        "-",
        ",",
        ":",
        "/",
        ".",
    ),
    *(
        "A=1 ",
        "'x y'",
        '"x y"',
        "$'x'",
        "${A}",
        "1",
        "2>",
        ">>f",
        "<<E",
        "\\\n",
        "\r",
        "é",
        "time ",
        "if ",
        "-v",
    ),
]


@pytest.mark.parametrize("shell", ["sh", "bash"])
@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_a_shell_runs_exactly_what_was_read(shell: str, tmp_path: Path):
    """Random commands: those that are simple run these words, and nothing else is left behind."""
    programs, log = tmp_path / "bin", tmp_path / "log"
    programs.mkdir()
    for name in "abc":
        (programs / name).write_text(PROGRAM.format(python=sys.executable, log=str(log)))
        (programs / name).chmod(0o755)
    here = tmp_path / "here"
    here.mkdir()
    chance = random.Random(13)
    run = 0
    while run < 12:
        command = "a " + "".join(chance.choices(PARTS, k=chance.randint(1, 6)))
        segments = read_command(command)
        # Programs of the test alone; `;` and line ends run all of them, whatever they return.
        if segments is None or len(segments) > 3 or any(words[0] not in "abc" for words in segments):
            continue
        if "|" in command:  # the second may not run, or both at once
            continue
        run += 1
        log.write_text("")
        environment = {"PATH": str(programs), "HOME": str(here)}
        done = subprocess.run(
            [str(shutil.which(shell)), "-c", command], cwd=here, env=environment, capture_output=True
        )
        assert done.returncode == 0, (command, done.stderr)
        ran = [tuple(json.loads(line)) for line in log.read_text().splitlines()]
        assert ran == list(segments), command
        assert list(here.iterdir()) == []


def test_no_command_with_an_unquoted_special_character_is_simple():
    chance = random.Random(7)
    for _ in range(20_000):
        command = "".join(chance.choices(PARTS, k=chance.randint(1, 12)))
        if read_command(command) is None:
            continue
        bare = unquoted(command).replace("&&", "")
        assert not set(bare) & set("$`\\*?[]{}()<>#!~&é\r"), command


def unquoted(command: str) -> str:
    """The command without what stands in quotes, as POSIX (2.2) has them, where no `\\` is outside."""
    out: list[str] = []
    quote = ""
    for character in command:
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        else:
            out.append(character)
    assert not quote, command
    return "".join(out)
