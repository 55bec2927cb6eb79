"""Requests that are sent again with their key are answered once, whatever happens in between."""

from __future__ import annotations

import http.client
import json
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from openai import OpenAI

from tests.e2e.conftest import ShareGateway, StartGateway
from tests.support.gateway import TOKEN, Answer, GatewayProcess, agent_config, read_until
from tests.support.operator import Operator, operator
from tests.support.provider import (
    ScriptedProvider,
    cut,
    done,
    finish,
    hang,
    respond,
    says,
    text,
    tool_call,
    usage,
    wait_for,
    wait_until,
)
from tests.support.proxy_users import USER_HEADER, proxy_config

REPLAYED = "Idempotent-Replayed"


def new_key() -> str:
    return str(uuid.uuid4())


def send(gateway: GatewayProcess, key: str, message: str = "hi", **more: Any) -> Answer:
    headers = more.pop("headers", {})
    body = {"model": "openclaw", "messages": [{"role": "user", "content": message}], **more}
    return gateway.chat(body, **{"Idempotency-Key": key, **headers})


def stored(gateway: GatewayProcess, user: str) -> list[tuple[str, str]]:
    """The conversation of that user, as operators see it."""
    with operator(gateway) as client:
        found = client.call("sessions.resolve", {"label": user})["key"]
        messages = client.call("chat.history", {"sessionKey": found})["messages"]
    return [(one["role"], one["content"][0]["text"]) for one in messages]


def said(answer: Answer) -> str:
    """The text of a stream that ended as it should."""
    events = answer.events()
    assert events[-1] == "[DONE]"
    choices = [one["choices"][0] for one in events[:-1] if one["choices"]]
    assert choices[-1]["finish_reason"] == "stop"
    return "".join(one["delta"].get("content") or "" for one in choices)


def test_the_answer_again(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    provider.plays([text("Hel"), text("lo"), finish(), usage(5, 2), done()])
    key = new_key()
    first = send(gateway, key)
    assert REPLAYED not in first.headers
    again = send(gateway, key)
    assert (again.status, again.json) == (200, first.json)
    assert again.headers[REPLAYED] == "true"
    assert again.headers["X-OpenClaw-Run-Id"] == first.json["id"]
    assert again.headers["X-OpenClaw-Agent-Id"] == "main"
    streamed = send(gateway, key, stream=True, stream_options={"include_usage": True})
    assert streamed.headers[REPLAYED] == "true"
    assert said(streamed) == "Hello"
    events = streamed.events()[:-1]
    assert {(one["id"], one["created"], one["model"]) for one in events} == {
        (first.json["id"], first.json["created"], "openclaw")
    }
    assert events[-1]["usage"] == first.json["usage"]
    assert len(provider.requests) == 1


def test_the_order_of_fields_does_not_count(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    provider.plays(says("once"))
    key = new_key()
    one = b'{"model":"openclaw","temperature":0.5,"messages":[{"role":"user","content":"hi"}]}'
    other = b'{ "messages": [{"content": "hi", "role": "user"}], "temperature": 0.5, "model": "openclaw" }'
    first = gateway.chat(one, **{"Idempotency-Key": key})
    assert gateway.chat(other, **{"Idempotency-Key": key}).json == first.json


@pytest.mark.parametrize("name", ["X-OpenClaw-Idempotency-Key", "x-clawdbot-idempotency-key"])
def test_other_names_of_the_header(gateway: GatewayProcess, provider: ScriptedProvider, name: str) -> None:
    provider.plays(says("once"))
    key = new_key()
    body = {"model": "openclaw", "messages": [{"role": "user", "content": "hi"}]}
    first = gateway.chat(body, **{name: key})
    assert send(gateway, key).json == first.json


def test_the_same_key_for_something_else(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    go_on = threading.Event()
    provider.plays([wait_for(go_on), *says("once")], says("two"), says("three"))
    key = new_key()
    with ThreadPoolExecutor() as pool:
        first = pool.submit(send, gateway, key)
        provider.wait_for_requests(1)
        refused = send(gateway, key, "something else")
        go_on.set()
        assert first.result().text == "once"
    for answer in (
        refused,
        send(gateway, key, "hi", temperature=1),
        send(gateway, key, headers={"x-openclaw-agent-id": "beta"}),
    ):
        assert (answer.status, answer.error["type"], answer.error["code"]) == (
            409,
            "idempotency_error",
            "idempotency_key_reused",
        )
    # A key is that of a session, too.
    assert send(gateway, key, user="ann").text == "two"
    assert send(gateway, key, user="bob").text == "three"
    assert len(provider.requests) == 3


def test_requests_at_the_same_moment(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    go_on = threading.Event()
    provider.plays([text("on"), wait_for(go_on), text("ce"), finish(), usage(5, 2), done()])
    key = new_key()
    with ThreadPoolExecutor(12) as pool:
        answers = [pool.submit(send, gateway, key, stream=bool(number % 2)) for number in range(12)]
        provider.wait_for_requests(1)
        go_on.set()
        found = [answer.result() for answer in answers]
    assert [answer.status for answer in found] == [200] * 12
    assert {said(answer) for answer in found[1::2]} == {"once"}
    assert {answer.text for answer in found[::2]} == {"once"}
    ids = {answer.json["id"] for answer in found[::2]} | {answer.events()[0]["id"] for answer in found[1::2]}
    assert len(ids) == 1
    assert sum(REPLAYED in answer.headers for answer in found) == 11
    assert len(provider.requests) == 1


def test_in_a_session_the_question_is_there_once(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    go_on = threading.Event()
    provider.plays([wait_for(go_on), *says("once")])
    key = new_key()
    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(send, gateway, key, user="once") for _ in range(4)]
        provider.wait_for_requests(1)
        go_on.set()
        assert {answer.result().text for answer in answers} == {"once"}
    assert send(gateway, key, user="once").text == "once"
    assert stored(gateway, "once") == [("user", "hi"), ("assistant", "once")]


def test_a_stream_joins_a_whole_answer_from_its_first_event(
    gateway: GatewayProcess, provider: ScriptedProvider
) -> None:
    go_on = threading.Event()
    provider.plays([text("from the "), wait_for(go_on), text("start"), finish(), done()])
    key = new_key()
    with ThreadPoolExecutor() as pool:
        first = pool.submit(send, gateway, key)
        provider.wait_for_requests(1)
        with follow(gateway, key) as stream:
            read_until(stream, b"from the ")
            go_on.set()
            assert stream.read().endswith(b"data: [DONE]\n\n")
        assert first.result().text == "from the start"


def follow(gateway: GatewayProcess, key: str, **more: Any) -> Any:
    """A stream with a key, which the block reads as it likes."""
    return gateway.stream("hi", headers={"Idempotency-Key": key}, **more)


def test_the_last_who_leaves_ends_the_run(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    provider.plays([text("begun"), hang()], says("again"))
    key = new_key()
    with follow(gateway, key) as first:
        read_until(first, b"begun")
        with follow(gateway, key) as second:
            read_until(second, b"begun")
            first.close()
            assert provider.left == 0
            assert gateway.request("GET", "/ready?verbose").json["activeRuns"] == 1
    provider.wait_for_leaving()
    assert send(gateway, key).text == "again"


def test_a_run_that_failed_is_run_again_in_its_place(
    gateway: GatewayProcess, provider: ScriptedProvider
) -> None:
    provider.plays(
        [text("half an "), cut()], [respond(400, {"error": {"message": "no"}})], says("whole"), says("next")
    )
    key = new_key()
    assert send(gateway, key, user="failed").status == 502
    assert send(gateway, key, user="failed").status == 400
    again = send(gateway, key, user="failed")
    assert (again.text, REPLAYED in again.headers) == ("whole", False)
    assert send(gateway, key, user="failed").json == again.json
    assert stored(gateway, "failed") == [("user", "hi"), ("assistant", "whole")]
    assert send(gateway, new_key(), "and?", user="failed").text == "next"
    assert provider.messages()[1:] == [("user", "hi"), ("assistant", "whole"), ("user", "and?")]


def test_a_run_that_was_cut_leaves_its_key_to_other_requests(
    gateway: GatewayProcess, provider: ScriptedProvider
) -> None:
    provider.plays([respond(401, {"error": {"message": "no"}})], says("other"))
    key = new_key()
    assert send(gateway, key).status == 502
    assert send(gateway, key, "something else").text == "other"


def test_a_refusal_binds_nothing(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    provider.plays(says("fine"))
    key = new_key()
    assert send(gateway, key, temperature=9).status == 400
    assert send(gateway, key, headers={"x-openclaw-agent-id": "ghost"}).status == 400
    assert send(gateway, key, headers={"x-openclaw-session-key": "agent::x"}).status == 400
    assert send(gateway, key).text == "fine"


def test_keys_that_are_none(gateway: GatewayProcess) -> None:
    for code in [*range(0x20), 0x20, 0x7F, 0x80, 0xE9, 0xFF]:
        if code in (0x0A, 0x0D):
            continue
        request = (
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
            b"Authorization: Bearer " + TOKEN.encode() + b"\r\nContent-Length: 2\r\n"
            b"Idempotency-Key: a" + bytes([code]) + b"b\r\n\r\n{}"
        )
        answer = gateway.raw(request)
        assert answer.status == 400, code
    twice = (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer "
        + TOKEN.encode()
        + b"\r\nContent-Length: 2\r\nIdempotency-Key: one\r\nIdempotency-Key: two\r\n\r\n{}"
    )
    assert gateway.raw(twice).status == 400
    for key in ("", "x" * 257):
        refused = send(gateway, key)
        assert (refused.status, refused.error["param"]) == (400, "Idempotency-Key")
    assert send(gateway, "x" * 256).status == 200


def test_other_people_have_other_keys(share_gateway: ShareGateway, provider: ScriptedProvider) -> None:
    gateway = share_gateway(proxy_config(provider.url))
    provider.plays(says("ann's"), says("bob's"))
    key = new_key()
    body = {"model": "openclaw", "messages": [{"role": "user", "content": "hi"}]}

    def ask(user: str) -> Answer:
        headers = {USER_HEADER: user, "Idempotency-Key": key}
        return gateway.request("POST", "/v1/chat/completions", body, headers)

    first = ask("ann")
    assert (first.text, ask("bob").text) == ("ann's", "bob's")
    assert ask("ann").json == first.json


def test_calls_for_the_client(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    provider.plays(
        [
            text("Let me look."),
            tool_call(0, "call_1", "look", '{"a":'),
            tool_call(0, arguments="1}"),
            tool_call(1, "call_2", "look", "{}"),
            finish("tool_calls"),
            usage(9, 8),
            done(),
        ]
    )
    tools = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
    key = new_key()
    first = send(gateway, key, tools=tools)
    assert first.json["choices"][0]["finish_reason"] == "tool_calls"
    again = send(gateway, key, tools=tools)
    assert again.json == first.json
    chunks = send(gateway, key, tools=tools, stream=True).events()
    calls = [one for chunk in chunks[:-1] for one in chunk["choices"][0]["delta"].get("tool_calls", ())]
    arguments = ["".join(one["function"]["arguments"] for one in calls if one["index"] == n) for n in (0, 1)]
    assert arguments == ['{"a":1}', "{}"]
    assert [one["id"] for one in calls if "id" in one] == ["call_1", "call_2"]
    assert chunks[-2]["choices"][0]["finish_reason"] == "tool_calls"
    assert len(provider.requests) == 1


def test_refusals_and_counts_of_tokens(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    counted = {
        "prompt_tokens": 9,
        "completion_tokens": 8,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 3},
    }
    provider.plays(
        [("delta", {"refusal": "I will not."}), finish(), ("usage", counted), done()],
        [text("x"), finish(), done()],
    )
    key, other = new_key(), new_key()
    first = send(gateway, key)
    assert first.json["choices"][0]["message"]["refusal"] == "I will not."
    assert first.json["usage"]["prompt_tokens_details"]["cached_tokens"] == 4
    assert send(gateway, key).json == first.json
    guessed = send(gateway, other)
    again = send(gateway, other)
    assert again.json == guessed.json
    assert again.headers["X-OpenClaw-Usage"] == guessed.headers["X-OpenClaw-Usage"] == "estimated"


def test_the_steps_of_an_agent(
    start_gateway: StartGateway, provider: ScriptedProvider, tmp_path: Any
) -> None:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    (workspace / "plan.txt").write_text("tea")
    gateway = start_gateway(agent_config(provider.url, {"allow": ["read"]}, workspace=str(workspace)))
    provider.plays(
        [
            text("Let me look."),
            tool_call(0, "c1", "read", '{"path":"plan.txt"}'),
            finish("tool_calls"),
            usage(5, 4),
            done(),
        ],
        [text("It is tea."), finish(), usage(6, 3), done()],
    )
    key = new_key()
    first = send(gateway, key)
    assert first.text == "Let me look.\n\nIt is tea."
    assert first.json["usage"]["total_tokens"] == 18
    assert send(gateway, key).json == first.json
    gateway.stop()
    gateway.start()
    assert send(gateway, key).json == first.json
    assert said(send(gateway, key, stream=True)) == first.text
    assert len(provider.requests) == 2


def test_a_crash_in_the_middle(start_gateway: StartGateway, provider: ScriptedProvider) -> None:
    gateway = start_gateway()
    provider.plays([text("half"), hang()], [text("half"), hang()], says("whole"), says("whole"))
    key, other = new_key(), new_key()
    with follow(gateway, key, user="crash") as stream, follow(gateway, other) as stateless:
        read_until(stream, b"half")
        read_until(stateless, b"half")
        gateway.kill()
        for broken in (stream, stateless):
            with pytest.raises(http.client.IncompleteRead) as ended:
                broken.read()
            assert ended.value.partial == b""
    gateway.start()
    again = send(gateway, key, user="crash")
    assert again.text == "whole"
    assert said(send(gateway, other, stream=True)) == "whole"
    gateway.kill()
    gateway.start()
    assert send(gateway, key, user="crash").json == again.json
    assert stored(gateway, "crash") == [("user", "hi"), ("assistant", "whole")]
    assert len(provider.requests) == 4


def test_keys_are_forgotten_with_their_session(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    provider.plays(says("one"), says("two"))
    key = new_key()
    session = send(gateway, key, user="gone").headers["X-OpenClaw-Session-Key"]
    with operator(gateway) as client:
        client.call("sessions.delete", {"key": session})
    assert send(gateway, key, user="gone").text == "two"


def test_what_no_list_shows(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    provider.plays(says("hidden words"))
    send(gateway, new_key(), "a question nobody sees")
    with operator(gateway) as client:
        assert client.call("sessions.list", {})["totalCount"] == 0


def test_without_a_store(start_gateway: StartGateway, provider: ScriptedProvider) -> None:
    gateway = start_gateway()
    assert send(gateway, new_key()).status == 200
    for path in gateway.state.glob("gateway.sqlite*"):
        path.unlink()
    (gateway.state / "gateway.sqlite").mkdir()
    asked = len(provider.requests)
    refused = send(gateway, new_key())
    assert (refused.status, refused.error["code"]) == (503, "service_unavailable")
    assert len(provider.requests) == asked
    body = {"model": "openclaw", "messages": [{"role": "user", "content": "hi"}]}
    assert gateway.chat(json.dumps(body).encode()).status == 200


def test_a_plain_answer_that_takes_long(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    provider.plays(says("slow"))
    key = new_key()
    first = send(gateway, key, headers={"x-openclaw-keepalive": "body"})
    assert send(gateway, key, headers={"x-openclaw-keepalive": "body"}).json == first.json


def test_a_run_that_goes_on_when_its_client_has_left(
    gateway: GatewayProcess, provider: ScriptedProvider
) -> None:
    go_on = threading.Event()
    provider.plays([text("begun "), wait_for(go_on), text("and ended"), finish(), done()])
    key = new_key()
    headers = {"Idempotency-Key": key, "x-openclaw-on-disconnect": "continue"}
    with gateway.stream("hi", headers=headers) as stream:
        read_until(stream, b"begun")
    go_on.set()
    wait_until(lambda: gateway.request("GET", "/ready?verbose").json["activeRuns"] == 0, 30, "end of the run")
    assert send(gateway, key).text == "begun and ended"
    assert len(provider.requests) == 1


def test_the_openai_package_repeats_a_request_with_its_key(
    gateway: GatewayProcess, provider: ScriptedProvider
) -> None:
    provider.plays([text("half "), cut()], says("whole"))
    client = OpenAI(base_url=f"{gateway.url}/v1", api_key=TOKEN, max_retries=2)
    key = new_key()
    messages: Any = [{"role": "user", "content": "hi"}]
    headers = {"Idempotency-Key": key}
    made = client.chat.completions.create(
        model="openclaw", messages=messages, user="package", extra_headers=headers
    )
    assert made.choices[0].message.content == "whole"
    stream = client.chat.completions.create(
        model="openclaw", messages=messages, user="package", extra_headers=headers, stream=True
    )
    assert "".join(one.choices[0].delta.content or "" for one in stream) == "whole"
    assert stored(gateway, "package") == [("user", "hi"), ("assistant", "whole")]
    assert len(provider.requests) == 2


def test_the_openai_package_has_no_header_for_its_own_option() -> None:
    """As docs/idempotency.md#with-openais-clients says."""
    assert OpenAI(api_key="x")._idempotency_header is None


def ask(client: Operator, key: str, message: str = "hi") -> dict[str, Any]:
    """The last response to `agent`."""
    request = client.request("agent", {"message": message, "sessionKey": "ws", "idempotencyKey": key})
    answer = client.response(request)
    if answer["ok"] and answer["payload"]["status"] == "accepted":
        answer = client.response(request)
    return answer


def test_the_result_of_a_run_by_websocket_outlives_the_gateway(
    start_gateway: StartGateway, provider: ScriptedProvider
) -> None:
    gateway = start_gateway()
    provider.plays([text("on"), text("ce"), finish(), usage(5, 2), done()])
    key = new_key()
    with operator(gateway) as client:
        first = ask(client, key)
    gateway.stop()
    gateway.start()
    with operator(gateway) as client:
        again = ask(client, key)
        assert again["payload"]["result"]["payloads"] == first["payload"]["result"]["payloads"]
        meta, before = (one["payload"]["result"]["meta"]["agentMeta"] for one in (again, first))
        assert meta == before
        sent = {"message": "hi", "sessionKey": "ws", "idempotencyKey": key}
        assert client.call("chat.send", sent) == {"runId": key, "status": "ok"}
        assert client.call("agent.wait", {"runId": key})["status"] == "ok"
        refused = ask(client, key, "something else")
        assert "was used for another request" in refused["error"]["message"]
    assert len(provider.requests) == 1


def test_a_run_by_websocket_that_a_crash_has_cut_is_run_again(
    start_gateway: StartGateway, provider: ScriptedProvider
) -> None:
    gateway = start_gateway()
    provider.plays([text("half"), hang()], says("whole"))
    key = new_key()
    sent = {"message": "hi", "sessionKey": "ws", "idempotencyKey": key}
    with operator(gateway) as client:
        client.call("chat.send", sent)
        client.until("chat", runId=key, state="delta")
        gateway.kill()
    gateway.start()
    with operator(gateway) as client:
        assert client.call("chat.send", sent) == {"runId": key, "status": "started"}
        final = client.until("chat", runId=key, state="final")
        assert final["message"]["content"] == [{"type": "text", "text": "whole"}]
        assert client.call("agent.wait", {"runId": key})["status"] == "ok"
        messages = client.call("chat.history", {"sessionKey": "ws"})["messages"]
        assert [(one["role"], one["content"][0]["text"]) for one in messages] == [
            ("user", "hi"),
            ("assistant", "whole"),
        ]
        assert messages[0]["__openclaw"]["idempotencyKey"] == key


def test_how_an_old_run_ended(start_gateway: StartGateway, provider: ScriptedProvider) -> None:
    gateway = start_gateway()
    provider.plays([text("half"), hang()], [respond(401, {"error": {"message": "no"}})], [text("x"), hang()])
    cut_run, failed, aborted = new_key(), new_key(), new_key()
    with operator(gateway) as client:
        client.call("chat.send", {"message": "hi", "sessionKey": "ws", "idempotencyKey": cut_run})
        client.until("chat", runId=cut_run, state="delta")
        client.call("chat.send", {"message": "hi", "sessionKey": "two", "idempotencyKey": failed})
        client.until("chat", runId=failed, state="error")
        client.call("chat.send", {"message": "hi", "sessionKey": "three", "idempotencyKey": aborted})
        client.until("chat", runId=aborted, state="delta")
        client.call("chat.abort", {"sessionKey": "three"})
        gateway.kill()
    gateway.start()
    with operator(gateway) as client:
        for run_id, words in ((cut_run, "ended"), (failed, "provider"), (aborted, "stopped")):
            ended = client.call("agent.wait", {"runId": run_id, "timeoutMs": 30_000})
            assert ended["status"] == "error", ended
            assert words in ended["error"], ended


def test_a_session_is_created_once(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    provider.plays(says("once"))
    key = new_key()
    with operator(gateway) as client:
        first = client.call("sessions.create", {"message": "hi", "idempotencyKey": key})
        client.until("chat", runId=key, state="final")
        again = client.call("sessions.create", {"message": "hi", "idempotencyKey": key})
        assert (again["key"], again["runId"]) == (first["key"], first["runId"])
        assert client.call("sessions.list", {})["totalCount"] == 1
    assert len(provider.requests) == 1


def invoke(gateway: GatewayProcess, body: dict[str, Any], **headers: str) -> Answer:
    given = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json", **headers}
    return gateway.request("POST", "/tools/invoke", body, given)


def test_a_tool_is_called_once(
    start_gateway: StartGateway, provider: ScriptedProvider, tmp_path: Any
) -> None:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    plan = workspace / "plan.txt"
    plan.write_text("tea")
    gateway = start_gateway(agent_config(provider.url, workspace=str(workspace)))
    key, other = new_key(), new_key()
    call = {"tool": "read", "args": {"path": "plan.txt"}}
    first = invoke(gateway, call, **{"Idempotency-Key": key})
    assert first.json["result"]["content"][0]["text"] == "tea"
    of_body = invoke(gateway, {**call, "idempotencyKey": other})
    plan.write_text("coffee")
    again = invoke(gateway, call, **{"Idempotency-Key": key})
    assert (again.json, again.headers[REPLAYED]) == (first.json, "true")
    assert invoke(gateway, {**call, "idempotencyKey": other}).json == of_body.json
    refused = invoke(gateway, {"tool": "read", "args": {"path": "x"}}, **{"Idempotency-Key": key})
    assert (refused.status, refused.error["type"]) == (409, "idempotency_key_reused")
    assert invoke(gateway, call, **{"Idempotency-Key": "a b"}).status == 400
    assert invoke(gateway, call).json["result"]["content"][0]["text"] == "coffee"
    gateway.kill()
    gateway.start()
    assert invoke(gateway, call, **{"Idempotency-Key": key}).json == first.json
    missing = {"tool": "no_such", "args": {}}
    unbound = new_key()
    assert invoke(gateway, missing, **{"Idempotency-Key": unbound}).status == 404
    assert invoke(gateway, call, **{"Idempotency-Key": unbound}).status == 200
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert gateway.request("GET", "/v1/runs", headers=headers).json["runs"] == []


def test_a_session_is_copied_once(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    provider.plays(says("hello"))
    send(gateway, new_key(), headers={"x-openclaw-session-key": "copied"})
    key = new_key()
    headers = {"Authorization": f"Bearer {TOKEN}", "Idempotency-Key": key}

    def fork(path: str = "/v1/sessions/copied/fork", body: bytes = b"{}") -> Answer:
        return gateway.request("POST", path, body, headers)

    with ThreadPoolExecutor(4) as pool:
        answers = [one.result() for one in [pool.submit(fork) for _ in range(4)]]
    assert [one.status for one in answers] == [201] * 4
    assert len({one.json["key"] for one in answers}) == 1
    assert fork(body=b'{"messageId": "1"}').status == 409
    assert fork("/v1/sessions/copied/reset").status == 200
    assert fork("/v1/sessions/copied/reset").headers[REPLAYED] == "true"
    with operator(gateway) as client:
        assert client.call("sessions.list", {})["totalCount"] == 2
