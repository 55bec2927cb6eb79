"""Messages come back from JSON as they went in."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.messages import Extra, ImagePart, Message, TextPart, ToolCall
from app.storage.message_json import dump_message, load_message

parts = st.builds(TextPart, st.text()) | st.builds(ImagePart, st.text(), st.text())
extras = st.none() | st.builds(
    Extra,
    st.dictionaries(st.text(), st.text() | st.lists(st.dictionaries(st.text(), st.integers(0, 9)))),
    st.none() | st.text(),
)
messages = st.builds(
    Message,
    role=st.sampled_from(["system", "user", "assistant", "tool"]),
    content=st.text() | st.lists(parts).map(tuple),
    tool_calls=st.lists(st.builds(ToolCall, st.text(), st.text(), st.text(), extras)).map(tuple),
    tool_call_id=st.none() | st.text(),
    name=st.none() | st.text(),
    refusal=st.none() | st.text(),
    extra=extras,
)


@settings(deadline=None)  # a loaded machine is not a fault
@given(messages)
def test_any_message_survives_the_round_trip(message):
    assert load_message(message.role, dump_message(message)) == message


def test_calls_stored_without_what_their_provider_wants_back_are_read():
    stored = '{"content":"","tool_calls":[["c1","f","{}"]]}'
    assert load_message("assistant", stored) == Message("assistant", "", (ToolCall("c1", "f", "{}"),))


@pytest.mark.parametrize("text", ["", "nul \x00", "\u2028", "🦞", '"quoted"\\'])
def test_unusual_characters_survive_the_round_trip(text):
    message = Message("user", (TextPart(text), ImagePart("image/png", "aGk=")))
    assert load_message("user", dump_message(message)) == message
