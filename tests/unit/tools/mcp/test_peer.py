"""Requests and answers, and what a server may send besides."""

from __future__ import annotations

import threading
from typing import Any

import orjson
import pytest

from app.cancel import Cancel
from app.errors import RunAborted
from app.tools.mcp.peer import Peer, RequestTimedOut
from app.tools.mcp.protocol import McpError, RequestFailed, ServerUnavailable


class RecordingChannel:
    """Keeps what is sent; `answer` makes the answers to a request."""

    def __init__(self, answer: Any = lambda _message: []) -> None:
        self.sent: list[Any] = []
        self.answer = answer
        self.peer: Peer | None = None

    def open(self, peer: Peer, seconds: float) -> None:
        self.peer = peer

    def send(self, message: bytes, request_id: int | None = None, seconds: float = 60.0) -> None:
        self.sent.append(orjson.loads(message))
        for one in self.answer(self.sent[-1]) if request_id is not None else ():
            assert self.peer is not None
            self.peer.receive(orjson.dumps({"jsonrpc": "2.0", **one}))

    def send_first(self, message: bytes, seconds: float) -> None:
        self.send(message)

    def forget(self, request_id: int) -> None: ...

    def agreed(self, revision: str) -> None: ...

    def close(self) -> None: ...


def peer_of(
    channel: RecordingChannel, notified: list[str] | None = None, lost: list[Any] | None = None
) -> Peer:
    peer = Peer(channel, ([] if notified is None else notified).append, ([] if lost is None else lost).append)
    channel.open(peer, 1)
    return peer


def test_an_answer_finds_its_request_also_with_its_id_as_text():
    channel = RecordingChannel(lambda sent: [{"id": str(sent["id"]), "result": {"a": 1}}])
    assert peer_of(channel).request("tools/list", {}, 5) == {"a": 1}


def test_other_answers_are_ignored():
    channel = RecordingChannel(
        lambda sent: [
            {"id": 77, "result": {}},
            {"id": None, "result": {}},
            {"id": sent["id"], "result": {"b": 2}},
        ]
    )
    assert peer_of(channel).request("x", {}, 5) == {"b": 2}


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        ({"error": {"code": -32602, "message": "no such tool"}}, RequestFailed, "no such tool (code -32602)"),
        ({"error": "nonsense"}, RequestFailed, "without a message"),
        ({"error": {"message": "x" * 9999}}, RequestFailed, "x"),
        ({"result": []}, McpError, "no result"),
        ({}, McpError, "no result"),
    ],
)
def test_errors(answer: Any, error: type[McpError], says: str):
    channel = RecordingChannel(lambda sent: [{"id": sent["id"], **answer}])
    with pytest.raises(error) as caught:
        peer_of(channel).request("x", {}, 5)
    assert says in str(caught.value)
    assert len(str(caught.value)) < 2100


def test_a_request_without_an_answer_is_cancelled():
    channel = RecordingChannel()
    with pytest.raises(RequestTimedOut):
        peer_of(channel).request("x", {}, 0.01)
    assert channel.sent[-1]["method"] == "notifications/cancelled"
    assert channel.sent[-1]["params"]["requestId"] == channel.sent[0]["id"]


def test_a_cancelled_run_does_not_wait():
    cancel, channel = Cancel(), RecordingChannel()
    threading.Timer(0.05, cancel.cancel, (RunAborted("stop"),)).start()
    with pytest.raises(RunAborted):
        peer_of(channel).request("x", {}, 60, cancel)
    assert channel.sent[-1]["method"] == "notifications/cancelled"


def test_progress_goes_to_the_request():
    def answer(sent: Any) -> list[Any]:
        token = sent["params"]["_meta"]["progressToken"]
        return [
            {"method": "notifications/progress", "params": {"progressToken": token, "progress": 1}},
            {"method": "notifications/progress", "params": {"progressToken": "other", "progress": 2}},
            {"id": sent["id"], "result": {}},
        ]

    seen: list[Any] = []
    peer_of(RecordingChannel(answer)).request("x", {}, 5, progress=seen.append)
    assert [one["progress"] for one in seen] == [1]


def test_a_servers_requests_are_answered_or_refused():
    channel = RecordingChannel()
    peer = peer_of(channel)
    peer.receive(
        b'[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","id":"r","method":"roots/list"}]'
    )
    ping, roots = channel.sent
    assert ping == {"jsonrpc": "2.0", "id": 1, "result": {}}
    assert (roots["id"], roots["error"]["code"]) == ("r", -32601)


def test_a_flood_is_an_error():
    notified: list[str] = []
    peer = peer_of(RecordingChannel(), notified)
    flood = b"[%s]" % b",".join([b'{"jsonrpc":"2.0","method":"notifications/message"}'] * 20_000)
    with pytest.raises(McpError, match="floods"):
        peer.receive(flood)
    assert len(notified) < 10_000


def test_all_requests_fail_when_the_connection_is_lost():
    lost: list[Any] = []
    channel = RecordingChannel()
    peer = peer_of(channel, lost=lost)
    threading.Timer(0.05, peer.lost, (ServerUnavailable("it ended"),)).start()
    for _ in range(2):
        with pytest.raises(ServerUnavailable, match="it ended"):
            peer.request("x", {}, 60)
    peer.lost(ServerUnavailable("again"))
    assert [str(one) for one in lost] == ["it ended"]


@pytest.mark.parametrize("data", [b"[" * 200_000, b'{"a":[' + b"0," * 150_000 + b"0]}", b"x" * (13 * 2**20)])
def test_what_is_too_large_or_too_much_is_refused(data: bytes):
    with pytest.raises((McpError, ValueError)):
        peer_of(RecordingChannel()).receive(data)


def test_half_a_character_does_not_spoil_an_answer():
    channel = RecordingChannel()
    peer = peer_of(channel)
    threading.Timer(
        0.05, peer.receive, (b'{"jsonrpc":"2.0","id":1,"result":{"a":"x\\ud83d","b":"\xff"}}',)
    ).start()
    assert peer.request("x", {}, 60) == {"a": "x\ufffd", "b": "\ufffd"}


@pytest.mark.parametrize("data", [b"hello", b"", b'{"jsonrpc":', b'{"jsonrpc":"2.0","id":NaNNaN}'])
def test_what_is_no_json_is_said(data: bytes):
    with pytest.raises(ValueError, match=r"."):
        peer_of(RecordingChannel()).receive(data)
