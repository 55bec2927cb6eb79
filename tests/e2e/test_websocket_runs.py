"""The Gateway protocol: runs, in the exact order of frames."""

from __future__ import annotations

import sqlite3
import threading
import time
import uuid
from contextlib import closing

from tests.e2e.conftest import StartGateway
from tests.support.gateway import GatewayProcess
from tests.support.operator import Operator, operator
from tests.support.provider import (
    ScriptedProvider,
    done,
    finish,
    hang,
    pause,
    respond,
    says,
    text,
    wait_for,
    wait_until,
)


def key() -> str:
    return str(uuid.uuid4())


def story(client: Operator, run_id: str) -> list[str]:
    """The frames about a run, in order; frames of one kind that follow each other count once."""
    kinds: list[str] = []
    for frame in client.frames:
        payload = frame.get("payload") or {}
        if payload.get("runId") != run_id:
            continue
        if frame["type"] == "res":
            name = f"res {payload['status']}"
        elif frame["event"] == "agent":
            name = f"agent {payload['stream']} {payload['data'].get('phase', '')}".strip()
        else:
            name = f"chat {payload['state']}"
        if not kinds or kinds[-1] != name:
            kinds.append(name)
    return kinds


def no_gaps(client: Operator) -> bool:
    numbers = [frame["seq"] for frame in client.frames if "seq" in frame]
    return numbers == list(range(1, len(numbers) + 1))


def test_agent(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    has_come = threading.Event()
    provider.plays([text("Hel"), wait_for(has_come), text("lo"), text("!"), *says(prompt=5, completion=3)])
    run_id = key()
    with operator(gateway) as client:
        request = client.request(
            "agent", {"message": "hi", "idempotencyKey": run_id, "timeout": 600, "deliver": False}
        )
        accepted = client.response(request)["payload"]
        assert accepted["runId"] == run_id
        assert accepted["sessionKey"] == "agent:main:main"
        client.until("chat", runId=run_id, state="delta")
        has_come.set()
        final = client.response(request)
        assert final["ok"]
        result = final["payload"]["result"]
        assert result["payloads"] == [{"text": "Hello!", "mediaUrl": None}]
        assert result["meta"]["agentMeta"]["usage"] == {
            "input": 5,
            "output": 3,
            "total": 8,
            "estimated": False,
        }
        kinds = story(client, run_id)
        phases = ["agent lifecycle start", "agent lifecycle model"]
        assert kinds[:5] == ["res accepted", *phases, "agent assistant", "chat delta"]
        # The last delta is sent with the end, or before it if the model was slow between them.
        pieces = ("agent assistant", "chat delta")
        ends = [kind for kind in kinds[5:] if kind not in pieces]
        assert ends == ["agent lifecycle finishing", "agent lifecycle end", "chat final", "res ok"]
        assert not {*pieces} & {*kinds[kinds.index("chat final") :]}
        assert no_gaps(client)
        texts = [e["data"] for e in client.events("agent") if e["stream"] == "assistant"]
        assert "".join(text["delta"] for text in texts) == "Hello!"
        assert texts[-1]["text"] == "Hello!"
        assert [e["seq"] for e in client.events("agent")] == list(range(1, len(client.events("agent")) + 1))
        deltas = [e for e in client.events("chat") if e["state"] == "delta"]
        assert "".join(delta["deltaText"] for delta in deltas) == "Hello!"
        assert deltas[-1]["message"]["content"] == [{"type": "text", "text": "Hello!"}]


def test_chat_send_and_history(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    provider.plays(says("Hello Ann."), says("You are Ann."))
    with operator(gateway) as client:
        for message, answer in (("I am Ann.", "Hello Ann."), ("Who am I?", "You are Ann.")):
            run_id = key()
            sent = client.call(
                "chat.send", {"sessionKey": "ws-chat", "message": message, "idempotencyKey": run_id}
            )
            assert sent == {"runId": run_id, "status": "started"}
            final = client.until("chat", runId=run_id, state="final")
            assert final["sessionKey"] == "agent:main:ws-chat"
            assert final["message"]["content"] == [{"type": "text", "text": answer}]
        for method in ("chat.history", "chat.startup"):
            history = client.call(method, {"sessionKey": "agent:main:ws-chat", "limit": 50})
            assert history["sessionKey"] == "agent:main:ws-chat"
            assert [(m["role"], m["content"][0]["text"]) for m in history["messages"]] == [
                ("user", "I am Ann."),
                ("assistant", "Hello Ann."),
                ("user", "Who am I?"),
                ("assistant", "You are Ann."),
            ]
            user, assistant = history["messages"][-2:]
            assert user["idempotencyKey"] == f"{run_id}:user"
            assert user["__openclaw"]["idempotencyKey"] == run_id
            assert assistant["__openclaw"]["runId"] == run_id
            assert [m["__openclaw"]["seq"] for m in history["messages"]] == [1, 2, 3, 4]
    assert provider.messages()[1:] == [
        ("user", "I am Ann."),
        ("assistant", "Hello Ann."),
        ("user", "Who am I?"),
    ]


def test_a_failed_run(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    provider.plays([respond(401, {"error": {"message": "no"}})], says("yes"))
    run_id = key()
    with operator(gateway) as client:
        request = client.request("agent", {"message": "hi", "idempotencyKey": run_id})
        client.response(request)
        failed = client.response(request)
        assert not failed["ok"]
        assert failed["error"]["code"] == "UNAVAILABLE"
        assert (failed["payload"]["runId"], failed["payload"]["status"]) == (run_id, "error")
        assert story(client, run_id)[-3:] == ["agent lifecycle error", "chat error", "res error"]
        assert client.events("chat")[-1]["errorMessage"] == failed["error"]["message"]
        assert client.call("agent.wait", {"runId": run_id})["status"] == "error"
        again = client.request("agent", {"message": "hi", "idempotencyKey": run_id})
        assert client.response(again)["payload"]["status"] == "accepted"
        assert client.response(again)["payload"]["result"]["payloads"][0]["text"] == "yes"
        assert client.call("agent.wait", {"runId": run_id})["status"] == "ok"
        messages = client.call("chat.history", {"sessionKey": "main"})["messages"]
        assert [(one["role"], one["content"][0]["text"]) for one in messages] == [
            ("user", "hi"),
            ("assistant", "yes"),
        ]


def test_abort(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    provider.plays([text("half an ans"), hang()], says("after"))
    run_id = key()
    with operator(gateway) as client:
        client.call("chat.send", {"sessionKey": "ws-abort", "message": "hi", "idempotencyKey": run_id})
        client.until("chat", state="delta")
        wrong = client.refusal("chat.abort", {"sessionKey": "other", "runId": run_id})
        assert wrong["message"] == "runId does not match sessionKey"
        aborted = client.call("chat.abort", {"sessionKey": "ws-abort", "runId": run_id})
        assert aborted == {"ok": True, "aborted": True, "runIds": [run_id]}
        last = client.events("chat")[-1]
        assert (last["state"], last["stopReason"]) == ("aborted", "rpc")
        assert last["message"]["content"][0]["text"] == "half an ans"
        nothing = client.call("chat.abort", {"sessionKey": "ws-abort"})
        assert nothing == {"ok": True, "aborted": False, "runIds": []}
        history = client.call("chat.history", {"sessionKey": "ws-abort"})["messages"]
        assert [m["role"] for m in history] == ["user", "assistant"]
    provider.wait_for_leaving()


def test_stop_words(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    for word in ("/stop", "stop", "Abort"):
        provider.plays([text("x"), hang()])
        run_id = key()
        with operator(gateway) as client:
            client.call("chat.send", {"sessionKey": "ws-stop", "message": "hi", "idempotencyKey": run_id})
            client.until("chat", state="delta")
            stopped = client.call(
                "chat.send", {"sessionKey": "ws-stop", "message": word, "idempotencyKey": key()}
            )
            assert (stopped["aborted"], stopped["runIds"]) == (True, [run_id])


def test_a_run_over_http_is_seen_and_can_be_stopped(
    gateway: GatewayProcess, provider: ScriptedProvider
) -> None:
    provider.plays([text("from http"), hang()])
    with operator(gateway) as client, gateway.stream("hi", user="seen") as stream:
        run_id = stream.headers["X-OpenClaw-Run-Id"]
        session = stream.headers["X-OpenClaw-Session-Key"]
        seen = client.until("chat", runId=run_id, state="delta")
        assert seen["message"]["content"][0]["text"] == "from http"
        assert client.call("chat.abort", {"sessionKey": session, "runId": run_id})["aborted"]
        body = stream.read()
        assert b'"code":"run_aborted"' in body
        assert body.endswith(b"data: [DONE]\n\n")


def test_idempotency(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    go_on = threading.Event()
    provider.plays([text("once"), wait_for(go_on), finish(), done()])
    run_id = key()
    params = {"sessionKey": "ws-idem", "message": "hi", "idempotencyKey": run_id}
    with operator(gateway) as client, operator(gateway) as other:
        assert client.call("chat.send", params)["status"] == "started"
        assert client.call("chat.send", params) == {"runId": run_id, "status": "in_flight"}
        assert other.call("agent", params)["status"] == "in_flight"
        go_on.set()
        client.until("chat", state="final")
        assert client.call("chat.send", params) == {"runId": run_id, "status": "ok"}
        assert other.call("agent", params)["result"]["payloads"][0]["text"] == "once"
    assert len(provider.requests) == 1


def test_a_second_message_waits_its_turn(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    go_on = threading.Event()
    provider.plays([wait_for(go_on), *says("first")], says("second"))
    one, two = key(), key()
    with operator(gateway) as client:
        for run_id in (one, two):
            client.call("chat.send", {"sessionKey": "ws-two", "message": run_id, "idempotencyKey": run_id})
        go_on.set()
        finals = [client.until("chat", state="final") for _ in range(2)]
    assert [(f["runId"], f["message"]["content"][0]["text"]) for f in finals] == [
        (one, "first"),
        (two, "second"),
    ]


def test_a_client_that_leaves_does_not_stop_its_run(
    gateway: GatewayProcess, provider: ScriptedProvider
) -> None:
    has_left = threading.Event()
    provider.plays([text("a"), wait_for(has_left), text("b"), finish(), done()])
    run_id = key()
    with operator(gateway) as client:
        client.call("chat.send", {"sessionKey": "ws-leave", "message": "hi", "idempotencyKey": run_id})
        client.until("chat", state="delta")
    with operator(gateway) as client:
        has_left.set()
        assert client.call("agent.wait", {"runId": run_id, "timeoutMs": 60_000})["status"] == "ok"
        messages = client.call("chat.history", {"sessionKey": "ws-leave"})["messages"]
        assert messages[-1]["content"][0]["text"] == "ab"


def test_agent_wait(gateway: GatewayProcess) -> None:
    with operator(gateway) as client:
        begun = time.monotonic()
        waited = client.call("agent.wait", {"runId": "nobody", "timeoutMs": 200})
        assert waited == {"runId": "nobody", "status": "timeout"}
        assert time.monotonic() - begun < 20


def test_wrong_runs(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    with operator(gateway) as client:
        for method, params, expected in (
            (
                "agent",
                {"idempotencyKey": "k"},
                "invalid agent params: at root: must have required property 'message'",
            ),
            ("agent", {"message": "hi"}, "must have required property 'idempotencyKey'"),
            ("agent", {"message": "", "idempotencyKey": "k"}, "must NOT have fewer than 1 characters"),
            (
                "agent",
                {"message": "hi", "idempotencyKey": "k", "agentId": "ghost"},
                'unknown agent id "ghost"',
            ),
            (
                "agent",
                {"message": "hi", "idempotencyKey": "k", "agentId": "main", "sessionKey": "agent:beta:x"},
                'agent "main" does not match session key agent "beta"',
            ),
            (
                "chat.send",
                {"sessionKey": "agent::x", "message": "hi", "idempotencyKey": "k"},
                "malformed session key",
            ),
            (
                "chat.send",
                {"message": "hi", "idempotencyKey": "k"},
                "must have required property 'sessionKey'",
            ),
            ("chat.history", {"sessionKey": "x", "limit": "many"}, "at /limit: must be integer"),
        ):
            error = client.refusal(method, params)
            assert error["code"] == "INVALID_REQUEST"
            assert expected in error["message"]
    assert provider.requests == []


def test_commands_answer_with_one_final_and_no_run(
    gateway: GatewayProcess, provider: ScriptedProvider
) -> None:
    provider.always(says("ok"))
    with operator(gateway) as client:

        def say(message: str) -> str:
            run_id = key()
            client.call(
                "chat.send", {"sessionKey": "ws-commands", "message": message, "idempotencyKey": run_id}
            )
            final = client.until("chat", runId=run_id, state="final")
            answer: str = final["message"]["content"][0]["text"]
            return answer

        assert say("remember me") == "ok"
        asked = len(provider.requests)
        assert "/compact" in say("/help")
        assert "agent:main:ws-commands" in say("/status")
        assert "test/test" in say("/model")
        assert "nobody/x" in say("/model nobody/x")
        assert "test/other" in say("/model test/other")
        assert len(provider.requests) == asked
        provider.always(says("from the other"), model="other")
        assert say("who are you?") == "from the other"
        assert "test/test" in say("/model default")
        say("/compact")
        say("/new")
        asked = len(provider.requests)
        say("and now?")
        assert [text for _, text in provider.messages()[1:]] == ["and now?"]
        assert len(provider.requests) == asked + 1
        assert say("/etc/passwd is a file") == "ok"


def test_inject(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    with operator(gateway) as client:
        missing = client.refusal("chat.inject", {"sessionKey": "ws-none", "message": "x"})
        assert missing["message"] == "session not found"
        client.call("chat.send", {"sessionKey": "ws-inject", "message": "hi", "idempotencyKey": key()})
        client.until("chat", state="final")
        injected = client.call(
            "chat.inject", {"sessionKey": "ws-inject", "message": "By the way.", "label": "note"}
        )
        assert injected["ok"]
        event = client.events("chat")[-1]
        assert (event["state"], event["seq"]) == ("final", 0)
        assert event["runId"] == f"inject-{injected['messageId']}"
        messages = client.call("chat.history", {"sessionKey": "ws-inject"})["messages"]
        assert messages[-1]["content"] == event["message"]["content"]
        assert messages[-1]["content"][0]["text"] == "[note]\n\nBy the way."
    gateway.chat({"messages": [{"role": "user", "content": "go on"}]}, x_openclaw_session_key="ws-inject")
    assert ("assistant", "echo: hi\n\n[note]\n\nBy the way.") in provider.messages()


def test_twenty_megabytes_to_a_slow_reader(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    big = "x" * 1_000_000
    provider.always(says(*[big] * 20))
    with operator(gateway) as client:
        request = client.request("agent", {"message": "hi", "idempotencyKey": key(), "sessionKey": "ws-big"})
        client.response(request)
        time.sleep(1.5)
        final = client.response(request, timeout=60)
        assert final["payload"]["result"]["payloads"][0]["text"] == big * 20
        assert client.call("agent.wait", {"runId": "x", "timeoutMs": 1})["status"] == "timeout"


def test_sigterm(start_gateway: StartGateway, provider: ScriptedProvider) -> None:
    gateway = start_gateway()
    stops = threading.Event()
    provider.plays([text("slow "), wait_for(stops), text("end"), finish(), done()])
    with operator(gateway) as idle, operator(gateway) as busy:
        busy.call("chat.send", {"sessionKey": "x", "message": "hi", "idempotencyKey": key()})
        busy.until("chat", state="delta")
        gateway.terminate()
        assert idle.until("shutdown")["reason"] == "gateway stopping"
        stops.set()
        final = busy.until("chat", state="final")
        assert final["message"]["content"][0]["text"] == "slow end"
        assert busy.close_code() == (1012, "service restart")
        assert idle.close_code() == (1012, "service restart")
    assert gateway.wait(40) == 0
    with closing(sqlite3.connect(gateway.state / "gateway.sqlite")) as database:
        assert database.execute("SELECT state FROM runs").fetchall() == [("finished",)]


def test_many_connections_get_events_of_their_own_runs_only(
    start_gateway: StartGateway, provider: ScriptedProvider
) -> None:
    gateway = start_gateway()
    provider.always([text("x"), pause(0.2), finish(), done()])
    clients = [operator(gateway) for _ in range(70)]
    try:
        first, last = clients[0], clients[-1]
        last.call("chat.history", {"sessionKey": "crowd"})
        first.call("chat.send", {"sessionKey": "crowd", "message": "hi", "idempotencyKey": key()})
        first.until("chat", state="final")
        last.until("chat", state="final")
        clients[1].call("health")  # behind whatever it would have got
        assert clients[1].events("chat") == clients[1].events("agent") == []
    finally:
        for client in clients:
            client.socket.drop()
    wait_until(lambda: gateway.request("GET", "/ready").status == 200, 30, "readiness")


def test_those_who_subscribe_to_sessions_are_told_which_work(
    gateway: GatewayProcess, provider: ScriptedProvider
) -> None:
    go_on = threading.Event()
    provider.plays([text("a"), wait_for(go_on), *says("b")])
    with operator(gateway) as follower, operator(gateway) as other:
        follower.call("sessions.subscribe", {})
        run = {"sessionKey": "told", "message": "hi", "idempotencyKey": key()}
        other.call("chat.send", run)
        begun = follower.until("sessions.changed", sessionKey="agent:main:told")
        assert (begun["reason"], begun["session"]["hasActiveRun"]) == ("run", True)
        go_on.set()
        ended = follower.until("sessions.changed", sessionKey="agent:main:told")
        assert ended["session"]["hasActiveRun"] is False
        assert ended["session"]["key"] == "agent:main:told"
        follower.call("sessions.unsubscribe", {})
        other.call("chat.send", {**run, "idempotencyKey": key()})
        other.until("chat", state="final")
        follower.call("health")
        assert len(follower.events("sessions.changed")) == 2
        assert other.events("sessions.changed") == []
