"""A client disconnects: within a second its run is aborted, the provider left, and the lane free."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

from tests.support.gateway import TOKEN, GatewayProcess, read_until
from tests.support.provider import ScriptedProvider, hang, says, text, wait_for, wait_until


@contextmanager
def unanswered(
    gateway: GatewayProcess, more: dict[str, str] | None = None, **body: object
) -> Iterator[http.client.HTTPConnection]:
    """A plain request whose answer nobody waits for."""
    message = {"model": "openclaw", "messages": [{"role": "user", "content": "hi"}], **body}
    headers = {"Authorization": f"Bearer {TOKEN}", **(more or {})}
    with closing(http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=10)) as connection:
        connection.request("POST", "/v1/chat/completions", json.dumps(message), headers)
        yield connection


def active_runs(gateway: GatewayProcess) -> int:
    count: int = gateway.request("GET", "/ready?verbose").json["activeRuns"]
    return count


def test_leaving_a_stream(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    provider.plays([text("begun"), hang()])
    with gateway.stream("hi") as stream:
        read_until(stream, b"begun")
    provider.wait_for_leaving()
    wait_until(lambda: active_runs(gateway) == 0, 30, "end of the run")


def test_leaving_a_stream_before_any_output(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    provider.plays([hang()])
    with gateway.stream("hi") as stream:
        stream.read1()
        provider.wait_for_requests(1)
    provider.wait_for_leaving()


def test_leaving_a_plain_request(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    provider.plays([hang()])
    with unanswered(gateway):
        provider.wait_for_requests(1)
    provider.wait_for_leaving()
    wait_until(lambda: active_runs(gateway) == 0, 30, "end of the run")


def test_leaving_the_queue_and_freeing_the_lane(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    provider.plays([text("first"), hang()], says("third"))
    with unanswered(gateway, user="queue"):
        provider.wait_for_requests(1)
        with unanswered(gateway, user="queue"):
            wait_until(lambda: active_runs(gateway) == 2, 30, "second run")
        wait_until(lambda: active_runs(gateway) == 1, 30, "end of the second run")
        assert provider.left == 0
    provider.wait_for_leaving()
    assert gateway.ask("again", user="queue").text == "third"
    assert len(provider.requests) == 2


def test_the_text_before_leaving_is_stored(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    provider.plays([text("half an ans"), hang()], says("whole"))
    with gateway.stream("hi", user="partial") as stream:
        read_until(stream, b"half an ans")
    provider.wait_for_leaving()
    gateway.ask("and then?", user="partial")
    assert provider.messages()[1:] == [
        ("user", "hi"),
        ("assistant", "half an ans"),
        ("user", "and then?"),
    ]


def test_a_pipelined_request_is_not_a_disconnect(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    provider.always(says("slowly"))
    body = json.dumps({"model": "openclaw", "messages": [{"role": "user", "content": "hi"}]}).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\n"
        f"Content-Length: {len(body)}\r\n"
    ).encode()
    with closing(http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=10)) as connection:
        connection.connect()
        connection.sock.sendall(head + b"\r\n" + body + head + b"Connection: close\r\n\r\n" + body)
        answers = b""
        while piece := connection.sock.recv(65536):
            answers += piece
    assert answers.count(b"HTTP/1.1 200 OK") == 2


CONTINUE = {"x-openclaw-on-disconnect": "continue"}


def test_a_run_that_is_to_go_on_goes_on(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    more = threading.Event()
    provider.plays([text("half"), wait_for(more), *says(" and half")])
    body = {"stream": True, "user": "goes-on"}
    with unanswered(gateway, CONTINUE, **body) as connection, connection.getresponse() as stream:
        assert stream.headers["X-OpenClaw-Run-Id"]
        read_until(stream, b"half")
    with unanswered(gateway, CONTINUE, user="goes-on-plain"):
        provider.wait_for_requests(2)
    more.set()
    wait_until(lambda: active_runs(gateway) == 0, 30, "end of the runs")
    assert provider.left == 0
    gateway.ask("and then?", user="goes-on")
    assert provider.messages()[1:] == [
        ("user", "hi"),
        ("assistant", "half and half"),
        ("user", "and then?"),
    ]


def test_other_words_for_what_becomes_of_a_run_are_refused(gateway: GatewayProcess) -> None:
    answer = gateway.chat(
        {"model": "openclaw", "messages": [{"role": "user", "content": "hi"}]}, x_openclaw_on_disconnect="go"
    )
    assert (answer.status, answer.error["param"]) == (400, "x-openclaw-on-disconnect")
