"""Conversations: that of text alone is kept as it came, and looks like any other."""

from __future__ import annotations

import pytest

from app.messages import Message, PlainMessage, PlainMessages, with_system

WIRE = [PlainMessage("user", "a"), PlainMessage("assistant", "b"), PlainMessage("user", "")]
MESSAGES = (Message("user", "a"), Message("assistant", "b"), Message("user", ""))


def test_plain_messages_are_a_sequence_of_messages():
    plain = PlainMessages(WIRE)
    assert (len(plain), plain[0], plain[-1], next(reversed(plain))) == (3, MESSAGES[0], *MESSAGES[2:] * 2)
    assert tuple(plain) == MESSAGES
    assert plain[1:] == PlainMessages(WIRE[1:]) == MESSAGES[1:]
    assert plain == MESSAGES != PlainMessages(WIRE[1:])
    assert plain != "abc"
    with pytest.raises(IndexError):
        plain[3]


@pytest.mark.parametrize("messages", [PlainMessages(WIRE), MESSAGES])
def test_a_system_message_goes_in_front(messages):
    assert with_system("Be brief.", messages) == (Message("system", "Be brief."), *MESSAGES)
    assert with_system(None, messages) is messages
    assert messages == MESSAGES
