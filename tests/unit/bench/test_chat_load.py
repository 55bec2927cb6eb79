"""The `chat.send` load: whose run a frame tells of, and how that run has ended."""

from __future__ import annotations

import itertools
import socket

import pytest

from bench.frames import PING, TEXT, masked
from bench.loads import CHAT, session_keys
from bench.websocket import Chat


@pytest.fixture
def chat(monkeypatch):
    ours, theirs = socket.socketpair()
    monkeypatch.setattr("bench.websocket.open_socket", lambda _: (ours, b""))
    client = Chat(0, iter(["agent:plain:a", "agent:plain:a"]))
    client.far_end = theirs
    yield client
    ours.close()
    theirs.close()


def test_each_message_has_a_run_of_its_own_until_there_are_no_more(chat):
    assert chat.ask()
    first = chat.run
    assert chat.ask()
    assert chat.run != first
    assert not chat.ask()
    assert chat.far_end.recv(100_000).count(b"chat.send") == 2


def test_only_the_end_of_its_own_run_is_an_answer(chat):
    chat.ask()
    assert chat.judge(TEXT, b'{"runId":"another","state":"final"}') == ""
    assert chat.judge(TEXT, b'{"runId":%s,"state":"delta"}' % chat.run) == ""
    assert chat.said == b""
    end = b'{"runId":%s,"state":"final"}' % chat.run
    assert chat.judge(TEXT, end) == ""
    assert chat.said == end


@pytest.mark.parametrize("ending", [b'"ok":false', b'"state":"error"', b'"state":"aborted"'])
def test_a_run_that_fails_is_an_error(chat, ending):
    chat.ask()
    assert chat.judge(TEXT, b'{"id":%s,%s}' % (chat.run, ending))
    assert chat.judge(TEXT, b'{"id":"another",%s}' % ending) == ""


def test_a_ping_is_answered(chat):
    assert chat.judge(PING, b"there?") == ""
    assert chat.far_end.recv(100) == masked(b"there?", 0xA)


def test_a_new_session_comes_after_ten_turns():
    keys = list(itertools.islice(session_keys(CHAT, "salt", 3), 21))
    assert [len(list(group)) for _, group in itertools.groupby(keys)] == [10, 10, 1]
    assert keys[0] == "agent:plain:salt-3-0"
