"""A request goes to the database and comes back, and what cannot be read is not gone on with."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from app.messages import Message, ToolSpec, Usage
from app.runs.stored_request import (
    MAX_RESUMED,
    comes_back,
    counted,
    dump_request,
    may_be_resumed,
    rebuild,
)
from app.sessions.stored import LeftRun
from tests.unit.runs.conftest import request

TALK = (Message("user", "one"), Message("assistant", "two"), Message("user", "three"))


def left(*messages: Message) -> LeftRun:
    return LeftRun(messages, (), Usage(), None)


def test_a_request_comes_back_as_it_was():
    tools = (ToolSpec("t", "a tool", {"type": "object"}),)
    wanted = request(key="k", messages=TALK, params={"temperature": 0.5}, tools=tools, durable=True)
    text = dump_request(wanted, TALK[2:])
    assert text is not None
    assert rebuild(text, "run-1", left(TALK[2])) == replace(wanted, run_id="run-1")


def test_a_conversation_that_was_brought_into_line_is_not_resent_again():
    text = dump_request(request(key="k", messages=TALK), TALK[2:])
    assert text is not None
    found = rebuild(text, "run-1", left(*TALK))
    assert found is not None
    assert found.messages == TALK


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"version":2,"new":1,"request":{}}'])
def test_what_another_version_has_written_is_not_read(text: str):
    assert rebuild(text, "run-1", left()) is None
    assert counted(text, has_begun=True) is None


def test_a_run_is_begun_again_a_number_of_times():
    text = dump_request(request(key="k"), request(key="k").messages)
    for _ in range(MAX_RESUMED):
        text = counted(text, has_begun=True)
        assert text is not None
        assert counted(text, has_begun=False) == text  # one that waited has cost nothing
    assert counted(text, has_begun=True) is None
    assert counted(None, has_begun=False) is None


@pytest.mark.parametrize(
    ("more", "alone", "shared", "back"),
    [
        ({}, False, True, False),
        ({"durable": True}, True, True, True),
        ({"source": "ws"}, False, True, True),
        ({"source": "agent"}, False, True, True),
        ({"source": "cli"}, False, False, False),
    ],
)
def test_who_may_go_on_with_what(more: dict[str, Any], alone: bool, shared: bool, back: bool):
    wanted = replace(request(key="k"), **more)
    assert may_be_resumed(wanted, is_shared=False) == alone
    assert may_be_resumed(wanted, is_shared=True) == shared
    assert comes_back(wanted) == back
