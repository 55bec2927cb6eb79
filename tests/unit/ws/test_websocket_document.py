"""docs/websocket.md says what there is: every method with its scope, every event, command and stop word."""

from __future__ import annotations

import re
from functools import cache

import pytest

from app.auth.method_scopes import METHOD_SCOPES
from app.config.settings import ChatCompletionsSettings, ImageSettings, Limits
from app.control.commands import COMMANDS, STOP_WORDS
from app.ws import buffered_socket as wire
from app.ws import connection, connections, encoder, failures, feed, handshake, read_ahead, unauthenticated
from app.ws.methods import history
from app.ws.methods.table import build_table
from tests.support.gateway import ROOT

MiB = 1024 * 1024
LIMITS = Limits()


@cache
def section(title: str) -> str:
    text = (ROOT / "docs" / "websocket.md").read_text()
    return text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def rows(title: str) -> list[list[str]]:
    """The cells of a section's tables, without the heads."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return [row for row in cells if row[0].startswith("`")]


def test_every_method_has_its_row_and_every_row_its_method():
    documented = {name.strip("`"): scope for name, scope, _ in rows("Methods")}
    assert documented == {
        name: (scope or "—").removeprefix("operator.") for name, scope in METHOD_SCOPES.items()
    }


def test_every_method_that_is_served_has_its_scope_and_the_other_way_round():
    assert sorted(build_table(None)) == sorted(METHOD_SCOPES)


def test_every_method_has_its_sentence():
    assert [name for name, _, sentence in rows("Methods") if len(sentence) < 10] == []
    names = [name.strip("`") for name, _, _ in rows("Methods")]
    assert names == sorted(names)


def test_every_event_is_told():
    documented = re.findall(r"`([a-z.]+)`", " ".join(name for name, _ in rows("Events")))
    assert sorted(documented) == sorted(handshake.EVENTS)


def test_every_command_and_stop_word_is_told():
    documented = re.findall(r"`/(\w+)`", " ".join(name for name, _ in rows("Commands")))
    assert sorted(documented) == sorted(COMMANDS)
    words = section("Commands").partition("one of the words")[2].partition("stops as")[0]
    assert set(re.findall(r"`(\w+)`", words)) == STOP_WORDS


@pytest.mark.parametrize(
    ("title", "sentence", "there"),
    [
        ("Connecting", "within 10 seconds", connection.HANDSHAKE_SECONDS == 10),
        ("Events", "every 30 seconds", handshake.TICK_SECONDS == 30),
        ("Limits", "64 KiB before", unauthenticated.MAX_UNAUTHENTICATED_PAYLOAD == 64 * 1024),
        ("Limits", "25 MiB after it", 25 * MiB == handshake.MAX_PAYLOAD),
        ("Limits", "beyond 50 MiB", 50 * MiB == handshake.MAX_BUFFERED),
        ("Limits", "every 25 seconds", connections.PING_SECONDS == 25),
        (
            "Limits",
            "128 connections may be in it, 32",
            (unauthenticated.MAX_UNAUTHENTICATED, unauthenticated.MAX_UNAUTHENTICATED_EACH) == (128, 32),
        ),
        ("Limits", "after 30 seconds", wire.WRITE_SECONDS == 30),
        ("Runs", "Up to 256 Ki characters", encoder.MAX_WHOLE_TEXT == 256 * 1024),
        ("Runs", "at most every 150 ms", feed.TEXT_SECONDS == 0.15),
        ("Sessions", "4 MiB of them", 4 * MiB == history.MAX_BYTES),
        ("Limits", "more than 1 MiB waits", MiB == wire.MAX_UNWRITTEN),
        (
            "Limits",
            "| 32, or 1 MiB; the gateway",
            (32, MiB) == (read_ahead.MAX_READ_AHEAD, read_ahead.MAX_READ_AHEAD_BYTES),
        ),
        ("Limits", "80 KiB in all", unauthenticated.MAX_UNAUTHENTICATED_BYTES == 80 * 1024),
        (
            "Limits",
            "200 at once, 20 a second",
            (failures.MAX_FAILURES, failures.FAILURES_PER_SECOND) == (200, 20),
        ),
        ("Which events a connection gets", "at most 64 connections", connections.BROADCAST_LIMIT == 64),
        ("Runs", "up to 8 images", ChatCompletionsSettings().max_image_parts == 8),
        ("Runs", "at most 10 MiB each", ImageSettings().max_bytes == 10 * MiB),
        ("Runs", "20 MiB together", ChatCompletionsSettings().max_total_image_bytes == 20 * MiB),
        (
            "Repeating a request",
            "5 minutes and at most 1,000",
            (LIMITS.ended_run_seconds, LIMITS.ended_runs) == (300, 1000),
        ),
        ("Close codes", "`credentials rotated`", connections.ROTATED[1] == "credentials rotated"),
    ],
)
def test_limits_are_the_codes_own(title: str, sentence: str, there: bool):
    assert sentence in section(title)
    assert there, f"docs/websocket.md says: {sentence}"


def test_every_section_that_the_code_cites_is_there():
    text = (ROOT / "docs" / "websocket.md").read_text()
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    anchors = {re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in titles}
    code = "".join(path.read_text("utf-8") for path in (ROOT / "app").rglob("*.py"))
    assert set(re.findall(r"docs/websocket\.md#([a-z0-9-]+)", code)) - anchors == set()
