"""What goes back to a provider is what providers accept; a failed run does not break its session."""

from __future__ import annotations

import http.client
import json
import uuid
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from tests.support.gateway import TOKEN, GatewayProcess, config_for
from tests.support.operator import operator
from tests.support.provider import Step, cut, finish, hang, respond, says, text, tool_call
from tests.support.sessions import delete_sessions
from tests.support.strict_provider import StrictProvider

FAILURES: dict[str, list[Step]] = {
    "refused": [respond(400, {"error": {"message": "no"}})],
    "no access": [respond(403, {"error": {"message": "no"}})],
    "cut without a word": [cut()],
    "cut after a word": [text("half an ans"), cut()],
    "cut in a call": [tool_call(0, "c1", "f", '{"city": "Par'), cut()],
    "blank and cut": [text(" "), cut()],
    "an empty answer": says(""),
}


@pytest.fixture(scope="module")
def _strict_provider() -> Iterator[StrictProvider]:
    with StrictProvider() as provider:
        yield provider


@pytest.fixture
def provider(_strict_provider: StrictProvider) -> StrictProvider:
    _strict_provider.reset()
    return _strict_provider


@pytest.fixture(scope="module")
def _strict_gateway(
    _strict_provider: StrictProvider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    gateway = GatewayProcess(tmp_path_factory.mktemp("gateway"), config_for(_strict_provider.url))
    yield gateway.start()
    assert gateway.stop() == 0, gateway.log


@pytest.fixture
def gateway(_strict_gateway: GatewayProcess, provider: StrictProvider) -> GatewayProcess:
    delete_sessions(_strict_gateway)
    return _strict_gateway


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def assistant(content: str | None, *calls: dict[str, Any]) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **({"tool_calls": list(calls)} if calls else {})}


def call(call_id: str, arguments: str = "{}") -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": "f", "arguments": arguments}}


def result(call_id: str, content: str = "21") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def history(gateway: GatewayProcess, key: str) -> list[tuple[str, list[Any]]]:
    """Role and content of each message of a session, as operators see it."""
    with operator(gateway) as client:
        messages = client.call("chat.history", {"sessionKey": key})["messages"]
    return [(one["role"], [part.get("text") for part in one["content"]]) for one in messages]


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("stream", [False, True])
def test_a_failed_run_does_not_break_its_session(
    gateway: GatewayProcess, provider: StrictProvider, failure: str, stream: bool
) -> None:
    provider.always(FAILURES[failure])
    name = str(uuid.uuid4())
    gateway.ask("one", user=name, stream=stream)
    provider.reset()
    assert gateway.ask("two", user=name).status == 200
    answer = gateway.ask("three", user=name)
    assert answer.status == 200, answer.body
    shown = provider.messages()[1:]
    assert shown[-1] == ("user", "three")
    texts = " ".join(str(content) for role, content in shown if role == "user")
    assert texts.split() == ["one", "two", "three"]
    questions = [
        texts for role, texts in history(gateway, answer.headers["X-OpenClaw-Session-Key"]) if role == "user"
    ]
    assert questions == [["one"], ["two"], ["three"]]  # the store keeps them apart


def test_several_failures_in_a_row(gateway: GatewayProcess, provider: StrictProvider) -> None:
    refused = [respond(400, {"error": {"message": "no"}})]
    provider.plays(refused, refused, refused)
    statuses = [gateway.ask(f"question {n}", user="often").status for n in range(3)]
    assert statuses == [400, 400, 400]
    assert gateway.ask("at last", user="often").status == 200
    assert provider.messages()[1:] == [("user", "question 0\n\nquestion 1\n\nquestion 2\n\nat last")]


def test_an_abandoned_request_does_not_break_its_session(
    gateway: GatewayProcess, provider: StrictProvider
) -> None:
    provider.plays([hang()])
    body = json.dumps({"user": "left", "messages": [user("one")]})
    with closing(http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)) as connection:
        connection.request("POST", "/v1/chat/completions", body, {"Authorization": f"Bearer {TOKEN}"})
        provider.wait_for_requests(1, seconds=30)
    provider.wait_for_leaving(seconds=30)
    assert gateway.ask("two", user="left").status == 200
    assert provider.messages()[1:] == [("user", "one\n\ntwo")]


@pytest.mark.parametrize("begun", [[], [text("half")], [tool_call(0, "c1", "f", '{"a": ')]])
def test_an_abort_over_websocket_does_not_break_its_session(
    gateway: GatewayProcess, provider: StrictProvider, begun: list[Step]
) -> None:
    provider.plays([*begun, hang()])
    session = str(uuid.uuid4())
    with operator(gateway) as client:
        run_id = str(uuid.uuid4())
        client.call("chat.send", {"sessionKey": session, "message": "one", "idempotencyKey": run_id})
        provider.wait_for_requests(1, seconds=30)
        if begun == [text("half")]:
            client.until("chat", runId=run_id, state="delta")
        client.call("chat.abort", {"sessionKey": session, "runId": run_id})
        for question in ("two", "three"):
            run_id = str(uuid.uuid4())
            client.call("chat.send", {"sessionKey": session, "message": question, "idempotencyKey": run_id})
            ended = client.until("chat", runId=run_id, state="final")
            assert "echo:" in json.dumps(ended["message"])
    assert provider.messages()[-1] == ("user", "three")


def test_a_failed_run_over_websocket_does_not_break_its_session(
    gateway: GatewayProcess, provider: StrictProvider
) -> None:
    provider.plays([respond(400, {"error": {"message": "no"}})])
    with operator(gateway) as client:
        for question, state in (("one", "error"), ("two", "final"), ("three", "final")):
            run_id = str(uuid.uuid4())
            client.call("chat.send", {"sessionKey": "failed", "message": question, "idempotencyKey": run_id})
            client.until("chat", runId=run_id, state=state)
    assert provider.messages()[1:] == [
        ("user", "one\n\ntwo"),
        ("assistant", "echo: one\n\ntwo"),
        ("user", "three"),
    ]


def test_a_message_that_an_operator_adds_does_not_break_its_session(
    gateway: GatewayProcess, provider: StrictProvider
) -> None:
    key = gateway.ask("one", user="added").headers["X-OpenClaw-Session-Key"]
    with operator(gateway) as client:
        client.call("chat.inject", {"sessionKey": key, "message": "By the way."})
    answer = gateway.ask("two", user="added")
    assert answer.status == 200, answer.body
    assert provider.messages()[2] == ("assistant", "echo: one\n\nBy the way.")
    assert [role for role, _ in history(gateway, key)] == [
        "user",
        "assistant",
        "assistant",
        "user",
        "assistant",
    ]


@pytest.mark.parametrize(
    ("messages", "sent"),
    [
        ([user("a"), user("b")], [user("a\n\nb")]),
        ([user("a"), assistant(""), user("b")], [user("a\n\nb")]),
        ([user("a"), assistant("x"), user("b"), user("c")], [user("a"), assistant("x"), user("b\n\nc")]),
        ([user("a"), assistant("x"), {"role": "system", "content": "s"}, user("b")], None),
        ([user("a"), {"role": "system", "content": "s"}, user("b")], [user("a\n\nb")]),
        ([user("a"), assistant(None, call("c")), user("b")], [user("a\n\nb")]),
        (
            [user("a"), assistant("text", call("c")), user("b")],
            [user("a"), assistant("text"), user("b")],
        ),
        (
            [user("a"), assistant(None, call("c"), call("d")), result("d"), user("b")],
            [user("a"), assistant(None, call("d")), result("d"), user("b")],
        ),
        (
            [user("a"), assistant(None, call("c")), user("b"), result("c")],
            [user("a"), assistant(None, call("c")), result("c"), user("b")],
        ),
        ([user("a"), result("x"), user("b")], [user("a\n\nb")]),
        (
            [user("a"), assistant(None, call("c", "")), result("c")],
            [user("a"), assistant(None, call("c", "{}")), result("c")],
        ),
        (
            [user("a"), assistant(None, call("c", '{"a": ')), result("c")],
            [user("a"), assistant(None, call("c", '{"arguments":"{\\"a\\":"}')), result("c")],
        ),
        (
            [user("a"), assistant("x"), assistant("y"), user("b")],
            [user("a"), assistant("x\n\ny"), user("b")],
        ),
        (
            [user("a"), assistant("x"), assistant(None, call("c")), result("c")],
            [user("a"), assistant("x", call("c")), result("c")],
        ),
        (
            [user([{"type": "text", "text": "a"}]), user("b")],
            [user("a\n\nb")],
        ),
    ],
)
@pytest.mark.parametrize("session", [None, "resent"])
def test_a_resent_conversation_is_put_in_order(
    gateway: GatewayProcess,
    provider: StrictProvider,
    messages: list[dict[str, Any]],
    sent: list[dict[str, Any]] | None,
    session: str | None,
) -> None:
    name = session and str(uuid.uuid4())
    answer = gateway.chat({"messages": messages, "user": name})
    assert answer.status == 200, answer.body
    if sent is not None:
        assert provider.requests[-1]["messages"][1:] == sent
    if name:
        resent = [*messages, assistant(answer.text), user("next")]
        again = gateway.chat({"messages": resent, "user": name})
        assert again.status == 200, again.body
        assert provider.messages()[-2:] == [("assistant", answer.text), ("user", "next")]


def test_the_parts_of_a_system_message_are_kept(gateway: GatewayProcess, provider: StrictProvider) -> None:
    parts = [{"type": "text", "text": one} for one in ("Be brief.", "Be kind.")]
    messages = [{"role": "system", "content": parts}, user("a"), {"role": "developer", "content": parts[:1]}]
    assert gateway.chat({"messages": messages}).status == 200
    assert provider.messages()[0] == ("system", "You are main.\n\nBe brief.\nBe kind.\n\nBe brief.")


def test_an_unanswered_call_is_left_out_once_and_stays_in_the_store(
    gateway: GatewayProcess, provider: StrictProvider
) -> None:
    tools = [{"type": "function", "function": {"name": "f"}}]
    provider.plays([tool_call(0, "c1", "f", "{}"), finish("tool_calls")])
    called = gateway.ask("one", user="unanswered", tools=tools)
    assert called.json["choices"][0]["finish_reason"] == "tool_calls"
    run_ids = []
    for question in ("two", "three", "four"):
        answer = gateway.ask(question, user="unanswered", tools=tools)
        assert answer.status == 200, answer.body
        run_ids.append(answer.headers["X-OpenClaw-Run-Id"])
    assert provider.messages()[1] == ("user", "one\n\ntwo")
    roles = [role for role, _ in history(gateway, called.headers["X-OpenClaw-Session-Key"])]
    assert roles == ["user", "assistant", *["user", "assistant"] * 3]
    noted = [json.loads(line) for line in gateway.log.splitlines() if "are left out of the conv" in line]
    assert [line["run_id"] for line in noted if line["run_id"] in run_ids] == run_ids[:1]


def test_a_result_that_comes_too_late_reaches_the_model_as_text(
    gateway: GatewayProcess, provider: StrictProvider
) -> None:
    provider.plays([tool_call(0, "c1", "f", "{}"), finish("tool_calls")])
    gateway.ask("one", user="late")
    assert gateway.ask("two", user="late").status == 200
    for late in (
        gateway.chat({"messages": [result("c1")], "user": "late"}),
        gateway.ask("three", user="late"),
    ):
        assert late.status == 200, late.body
    as_text = "[Result of the tool call c1]\n21"
    assert provider.messages()[1:] == [
        ("user", "one\n\ntwo"),
        ("assistant", "echo: one\n\ntwo"),
        ("user", as_text),
        ("assistant", f"echo: {as_text}"),
        ("user", "three"),
    ]


def test_a_session_that_was_shortened_between_call_and_result(
    gateway: GatewayProcess, provider: StrictProvider
) -> None:
    provider.plays([tool_call(0, "c1", "f", "{}"), finish("tool_calls")])
    key = gateway.ask("one", user="shortened").headers["X-OpenClaw-Session-Key"]
    gateway.chat({"messages": [result("c1")], "user": "shortened"})
    with operator(gateway) as client:
        client.call("sessions.compact", {"key": key, "maxLines": 2})
    assert gateway.ask("two", user="shortened").status == 200
    assert provider.messages()[-1] == ("user", "two")
