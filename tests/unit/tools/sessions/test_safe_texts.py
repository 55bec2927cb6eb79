"""Stored texts as other agents see them."""

from __future__ import annotations

from app.messages import ImagePart, Message, TextPart
from app.tools.sessions.rows import is_subagent, kind_of
from app.tools.sessions.text import MAX_TEXT, SafeTexts
from tests.unit.agents.own_tools import SETTINGS

TEXTS = SafeTexts(lambda: SETTINGS)


def test_thinking_is_left_out_also_if_it_does_not_end():
    assert TEXTS.of(Message("assistant", "<think>a\nb</think>\nAnswer <thinking>x")) == "Answer "
    assert TEXTS.of(Message("user", "<think>mine</think>")) == "<think>mine</think>"


def test_a_secret_where_the_text_is_cut_is_not_shown():
    text = "x" * (MAX_TEXT - 10) + " sk-" + "a1" * 1000 + " end"
    shown = TEXTS.safe(text)
    assert "sk-" not in shown
    assert "a1" not in shown


def test_pictures_are_named():
    message = Message("user", (TextPart("Look"), ImagePart("image/png", "AAAA")))
    assert TEXTS.of(message) == "Look\n[image/png]"


def test_kinds():
    space = "of:" + "0" * 32 + ":"
    assert kind_of("agent:main:main", "main") == "main"
    assert kind_of(f"agent:main:{space}main", "main") == "main"
    assert kind_of("agent:main:whatsapp:group:1", "main") == "group"
    assert kind_of("agent:main:cron:1", "main") == "cron"
    assert kind_of("agent:main:notes", "main") == "other"
    assert is_subagent(f"agent:main:{space}subagent:1")
    assert not is_subagent("agent:main:notes")
