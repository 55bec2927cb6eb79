"""The `chat.send` load: which frames belong to its own run, and how that run has ended."""

from __future__ import annotations

import itertools
import socket

import pytest

from app.client.frames import PING, PONG, TEXT, encode_frame
from bench.loads import CHAT, session_keys
from bench.websocket import Chat


@pytest.fixture
def chat(monkeypatch):
    ours, theirs = socket.socketpair()
    monkeypatch.setattr("bench.websocket.connect", lambda _: (ours, b""))
    client = Chat(0, iter(["agent:plain:a", "agent:plain:a"]))
    client.far_end = theirs
    yield client
    ours.close()
    theirs.close()


def test_each_message_has_a_run_of_its_own_until_there_are_no_more(chat):
    assert chat.ask()
    first = chat.run_id
    assert chat.ask()
    assert chat.run_id != first
    assert not chat.ask()
    assert chat.far_end.recv(100_000).count(b"chat.send") == 2


def test_only_the_end_of_its_own_run_is_an_answer(chat):
    chat.ask()
    assert chat.handle((TEXT, b'{"runId":"another","state":"final"}')) == ""
    assert chat.handle((TEXT, b'{"runId":%s,"state":"delta"}' % chat.run_id)) == ""
    assert chat.final == b""
    end = b'{"runId":%s,"state":"final"}' % chat.run_id
    assert chat.handle((TEXT, end)) == ""
    assert chat.final == end


@pytest.mark.parametrize("ending", [b'"ok":false', b'"state":"error"', b'"state":"aborted"'])
def test_a_run_that_fails_is_an_error(chat, ending):
    chat.ask()
    assert chat.handle((TEXT, b'{"id":%s,%s}' % (chat.run_id, ending)))
    assert chat.handle((TEXT, b'{"id":"another",%s}' % ending)) == ""


def test_a_ping_is_answered(chat):
    assert chat.handle((PING, b"there?")) == ""
    assert chat.far_end.recv(100) == encode_frame(b"there?", PONG)


def test_a_new_session_comes_after_ten_turns():
    keys = list(itertools.islice(session_keys(CHAT, "salt", 3), 21))
    assert [len(list(group)) for _, group in itertools.groupby(keys)] == [10, 10, 1]
    assert keys[0] == "agent:plain:salt-3-0"
