"""What commands print, and which arguments they refuse."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from app.cli.logs import readable
from app.cli.main import build_parser
from app.cli.output import (
    ago,
    duration,
    one_line,
    print_error,
    print_facts,
    print_json,
    print_json_text,
    print_table,
    print_text,
)

Screen = Callable[[Callable[[], object]], str]


@pytest.fixture
def terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Screen:
    """What a function prints when standard output is a terminal."""

    def run(show: Callable[[], object]) -> str:
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        show()
        return capsys.readouterr().out

    return run


ROWS = [["agent:main:main", "3 s ago"], ["agent:beta:x", ""]]


def test_a_table_in_a_pipe_is_cells_between_tabs(capsys: pytest.CaptureFixture[str]):
    print_table(("session", "updated"), ROWS)
    assert capsys.readouterr().out == "agent:main:main\t3 s ago\nagent:beta:x\t\n"


def test_a_table_on_a_terminal_has_headings_and_columns(terminal: Screen):
    assert terminal(lambda: print_table(("session", "updated"), ROWS)).splitlines() == [
        "SESSION          UPDATED",
        "agent:main:main  3 s ago",
        "agent:beta:x",
    ]


def test_an_empty_table(terminal: Screen):
    assert terminal(lambda: print_table(("session", "updated"), [])) == "SESSION  UPDATED\n"


def test_facts(terminal: Screen):
    assert terminal(lambda: print_facts([("up", "1 h"), ("model", "a/b")])) == "up     1 h\nmodel  a/b\n"


def test_text_of_others_cannot_control_the_terminal(capsys: pytest.CaptureFixture[str]):
    assert one_line("a\x1b[2Jb\nc") == "a\\x1b[2Jb\\x0ac"
    print_table(("label",), [["\x1b]0;title\x07"]])
    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("seconds", "text"), [(-1, "0 s"), (59.9, "59 s"), (60, "1 min"), (7300, "2 h"), (90000, "1 d")]
)
def test_durations(seconds: float, text: str):
    assert duration(seconds) == text


def test_ago():
    assert ago((time.time() - 61) * 1000) == "1 min ago"
    assert ago(None) == ""


def line(**fields: Any) -> str:
    about = {
        "ts": "2026-11-21T09:28:02.596Z",
        "level": "info",
        "logger": "app.runs",
        "message": "run started",
    }
    return json.dumps({**about, **fields})


def test_a_log_line_is_made_readable(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    assert readable(line(run_id="r1", total_ms=3.4)) == (
        "09:28:02 INFO    app.runs: run started run_id=r1 total_ms=3.4"
    )
    assert readable(line(message="a\x1bb\nc")).endswith("a\\x1bb\\x0ac")


@pytest.mark.parametrize(
    "text", ["09:28:02 INFO app: hi", "{", "[]", "{}", '{"ts": 5}', '{"ts": "never"}', "5"]
)
def test_any_other_line_is_printed_as_it_is(text: str):
    assert readable(text) == text


WRONG = [
    ("call",),
    ("call", "health", "--params", "["),
    ("call", "health", "--params", "[]"),
    ("health", "--timeout", "0"),
    ("health", "--timeout", "soon"),
    ("sessions", "--limit", "many"),
    ("status", "now"),
]


@pytest.mark.parametrize("words", WRONG)
def test_wrong_arguments(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as caught:
        build_parser(words).parse_args(words)
    assert caught.value.code == 2
    assert capsys.readouterr().err


def test_local_cannot_be_combined_with_an_address(capsys: pytest.CaptureFixture[str]):
    words = ["agent", "-m", "hi", "--local", "--url", "ws://h", "--token", "x"]
    args = build_parser(words).parse_args(words)
    assert args.run(args) == 2
    assert "--url, --token" in capsys.readouterr().err


OSC_52 = "\x1b]52;c;cm0gLXJmIH4=\x07"  # puts text of its own into the clipboard
EVERY_CONTROL = "".join(chr(code) for code in (*range(0x20), *range(0x7F, 0xA0)))


def test_text_of_a_model_keeps_no_control_characters_but_tabs_and_line_feeds(
    capsys: pytest.CaptureFixture[str],
):
    print_text(f"one{OSC_52}\ttwo\r\n\x9b2Jthree \u2028é")
    print_text(EVERY_CONTROL, end="")
    assert capsys.readouterr().out == "one]52;c;cm0gLXJmIH4=\ttwo\n2Jthree \u2028é\n\t\n"


def test_json_has_control_characters_escaped(capsys: pytest.CaptureFixture[str]):
    print_json({"text": EVERY_CONTROL})
    printed = capsys.readouterr().out
    assert json.loads(printed) == {"text": EVERY_CONTROL}
    assert not set(EVERY_CONTROL) - {"\n"} & set(printed)
    print_json_text('{"line": "\x1b[2J\x9b"}')
    assert capsys.readouterr().out == '{"line": "\\u001b[2J\\u009b"}\n'


def test_an_error_of_the_gateway_cannot_control_the_terminal(capsys: pytest.CaptureFixture[str]):
    print_error(argparse.Namespace(json=True), "failed", f"no{OSC_52}\x9b")
    printed = capsys.readouterr()
    assert "\x1b" not in printed.out + printed.err
    assert "\x9b" not in printed.out + printed.err
