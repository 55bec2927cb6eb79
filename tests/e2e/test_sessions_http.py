"""`/v1/sessions` through a real gateway: found, shown, set, paged, emptied, deleted."""

from __future__ import annotations

import threading
from typing import Any
from urllib.parse import quote

import pytest

from app.control.session_state import PHASES
from tests.e2e.conftest import ShareGateway, StartGateway
from tests.support.gateway import TOKEN, Answer, GatewayProcess, agent_config, config_for
from tests.support.operator import operator
from tests.support.provider import (
    PATIENCE,
    ScriptedProvider,
    done,
    finish,
    hang,
    says,
    text,
    tool_call,
    wait_for,
    wait_until,
)
from tests.support.proxy_users import USER_HEADER, ask, proxy_config

AUTH = {"Authorization": f"Bearer {TOKEN}"}
SESSIONS = "/v1/sessions"
GIF = "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAACAkQBADs="


def call(
    gateway: GatewayProcess, method: str, path: str, body: Any = None, headers: dict[str, str] = AUTH
) -> Answer:
    """A request to an address below `/v1/sessions`."""
    return gateway.request(method, SESSIONS + path, body, headers)


def get(gateway: GatewayProcess, path: str) -> Any:
    answer = call(gateway, "GET", path)
    assert answer.status == 200, answer.body
    return answer.json


def say(gateway: GatewayProcess, message: str, key: str) -> None:
    body = {"model": "openclaw", "messages": [{"role": "user", "content": message}]}
    assert gateway.chat(body, x_openclaw_session_key=key).status == 200


def keys(page: Any) -> list[str]:
    return [one["key"] for one in page["sessions"]]


def texts(page: Any) -> list[str]:
    return [one["content"] for one in page["messages"]]


def test_a_session_is_shown_with_what_operators_see(
    gateway: GatewayProcess, provider: ScriptedProvider
) -> None:
    provider.plays(says("Hello, ", "Ann.", prompt=11, completion=3))
    say(gateway, "My name is Ann.", "notes")
    found = get(gateway, "/agent:main:notes")
    with operator(gateway) as client:
        row = client.call("sessions.describe", {"key": "notes", "includeDerivedTitles": True})["session"]
    assert found["createdAt"] == row["createdAt"]
    assert found["updatedAt"] == row["updatedAt"]
    wanted = {
        "key": "agent:main:notes",
        "agentId": "main",
        "sessionId": row["sessionId"],
        "title": "My name is Ann.",
        "preview": "Hello, Ann.",
        "model": "test/test",
        "inputTokens": 11,
        "outputTokens": 3,
        "totalTokens": 14,
        "messageCount": 2,
        "runCount": 1,
        "resetCount": 0,
        "phase": "idle",
        "runs": [],
        "activeTools": [],
        "pendingApprovals": [],
        "settings": {},
        **dict.fromkeys(("label", "displayName", "thinkingLevel", "spawnedBy", "forkedFrom")),
    }
    assert {name: found[name] for name in wanted} == wanted
    assert get(gateway, "")["sessions"] == [found]


@pytest.mark.parametrize(
    "name",
    [
        "agent:main:a/b c",
        quote("agent:main:a/b c", safe=""),
        "a%2Fb%20c",
        "a/b%20c",
        "AGENT%3amain%3AA/B%20C",
    ],
)
def test_a_key_may_be_encoded_or_not(gateway: GatewayProcess, name: str) -> None:
    say(gateway, "hi", "a/b c")
    assert get(gateway, f"/{name.replace(' ', '%20')}")["key"] == "agent:main:a/b c"
    assert texts(get(gateway, f"/{name.replace(' ', '%20')}/history")) == ["hi", "echo: hi"]


def test_an_encoded_slash_begins_no_action(gateway: GatewayProcess) -> None:
    say(gateway, "hi", "a/history")
    assert get(gateway, "/a%2Fhistory")["key"] == "agent:main:a/history"
    assert texts(get(gateway, "/a/history/history")) == ["hi", "echo: hi"]
    assert call(gateway, "GET", "/a/history").status == 404
    refused = call(gateway, "DELETE", "/a/history", headers={})
    assert (refused.status, refused.headers["Allow"]) == (405, "GET, HEAD")
    assert get(gateway, "/a%2Fhistory")["messageCount"] == 2
    assert call(gateway, "GET", "/a%1Fhistory").error["code"] == "invalid_session_key"


def test_sessions_are_paged_newest_first_whatever_happens_in_between(gateway: GatewayProcess) -> None:
    for number in range(7):
        say(gateway, "hi", f"s{number}")
    first = get(gateway, "?limit=3")
    assert keys(first) == [f"agent:main:s{number}" for number in (6, 5, 4)]
    assert first["hasMore"]
    assert call(gateway, "DELETE", "/s4").status == 200  # where the page ended
    assert call(gateway, "DELETE", "/s2").status == 200
    say(gateway, "again", "s5")
    say(gateway, "hi", "new")
    second = get(gateway, f"?limit=2&after={first['next']}")
    assert keys(second) == ["agent:main:s3", "agent:main:s1"]
    last = get(gateway, f"?limit=2&after={second['next']}")
    assert keys(last) == ["agent:main:s0"]
    assert (last["hasMore"], last["next"]) == (False, None)


def test_sessions_are_searched(gateway: GatewayProcess) -> None:
    for name in ("apples", "pears", "ÄPFEL"):
        say(gateway, "hi", name)
    assert call(gateway, "PATCH", "/pears", {"label": "Green apples"}).status == 200
    assert set(keys(get(gateway, "?search=Apples"))) == {"agent:main:apples", "agent:main:pears"}
    assert keys(get(gateway, "?search=100%25_")) == []


def test_history_is_paged_both_ways(gateway: GatewayProcess) -> None:
    for number in range(5):
        say(gateway, f"q{number}", "notes")
    everything = get(gateway, "/notes/history")
    assert texts(everything) == [text for n in range(5) for text in (f"q{n}", f"echo: q{n}")]
    assert (everything["hasOlder"], everything["hasNewer"]) == (False, False)
    ids = [one["id"] for one in everything["messages"]]
    newest = get(gateway, "/notes/history?limit=3")
    assert [one["id"] for one in newest["messages"]] == ids[7:]
    assert (newest["hasOlder"], newest["hasNewer"]) == (True, False)
    older = get(gateway, f"/notes/history?limit=3&before={ids[7]}")
    assert [one["id"] for one in older["messages"]] == ids[4:7]
    assert (older["hasOlder"], older["hasNewer"]) == (True, True)
    oldest = get(gateway, f"/notes/history?limit=4&before={ids[4]}")
    assert ([one["id"] for one in oldest["messages"]], oldest["hasOlder"]) == (ids[:4], False)
    newer = get(gateway, f"/notes/history?limit=6&after={ids[3]}")
    assert [one["id"] for one in newer["messages"]] == ids[4:]
    assert (newer["hasOlder"], newer["hasNewer"]) == (True, False)
    assert get(gateway, f"/notes/history?after={ids[-1]}")["messages"] == []
    assert get(gateway, f"/notes/history?before={ids[0]}")["messages"] == []


def test_a_page_goes_on_behind_a_message_that_is_gone(gateway: GatewayProcess) -> None:
    for number in range(4):
        say(gateway, f"q{number}", "notes")
    ids = [one["id"] for one in get(gateway, "/notes/history")["messages"]]
    done = call(gateway, "POST", "/notes/compact", {"maxMessages": 4}).json
    assert done == {"key": "agent:main:notes", "messages": 4, "removed": 4}
    page = get(gateway, f"/notes/history?after={ids[1]}")
    assert (texts(page), page["hasOlder"]) == (["q2", "echo: q2", "q3", "echo: q3"], False)


def test_a_message_is_shown_as_the_openai_api_has_it(
    share_gateway: ShareGateway, provider: ScriptedProvider
) -> None:
    gateway = share_gateway(config_for(provider.url))
    provider.plays(
        [text("Let me see."), tool_call(0, "call_1", "f", '{"a": 1}'), finish("tool_calls"), done()]
    )
    tools = [{"type": "function", "function": {"name": "f"}}]
    picture = {
        "type": "image_url",
        "image_url": {"url": "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAACAkQBADs="},
    }
    asked = [{"role": "user", "content": [{"type": "text", "text": "Look."}, picture], "name": "ann"}]
    body = {"model": "openclaw", "messages": asked, "tools": tools}
    assert gateway.chat(body, x_openclaw_session_key="notes").status == 200
    user, answer = get(gateway, "/notes/history")["messages"]
    assert {name: user[name] for name in asked[0]} == asked[0]
    assert (user["state"], user["runState"], user["source"]) == ("complete", "finished", "http")
    assert answer["role"] == "assistant"
    assert answer["content"] == "Let me see."
    assert answer["tool_calls"] == [
        {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    ]
    assert (answer["model"], answer["finishReason"], answer["error"]) == ("test/test", "tool_calls", None)
    assert answer["runId"] == user["runId"]


def test_settings_are_set_and_cleared(gateway: GatewayProcess) -> None:
    say(gateway, "hi", "notes")
    given = {"label": "  Shopping ", "thinkingLevel": "HIGH", "model": "test/test", "mine": {"a": [1]}}
    patched = call(gateway, "PATCH", "/notes", given)
    assert patched.status == 200
    settings = {"thinkingLevel": "high", "model": "test/test", "mine": {"a": [1]}}
    assert patched.json["label"] == "Shopping"
    assert patched.json["settings"] == settings
    assert get(gateway, "/notes") == patched.json
    cleared = call(gateway, "PATCH", "/notes", {"label": None, "mine": None, "model": None}).json
    assert (cleared["label"], cleared["settings"]) == (None, {"thinkingLevel": "high"})


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"label": ""}, "label"),
        ({"label": 7}, "label"),
        ({"label": "x" * 513}, "label"),
        ({"label": "a\0b"}, "label"),
        ({"displayName": []}, "displayName"),
        ({"thinkingLevel": "enormous"}, "thinkingLevel"),
        ({"thinkingLevel": 3}, "thinkingLevel"),
        ({"model": "nobody/nothing"}, "model"),
        ({"model": ""}, "model"),
        ({"mine": "x" * 5000}, "mine"),
        ({"y" * 65: 1}, "y" * 64),
        ({"mine": "\0"}, "mine"),
        (b"[]", None),
        (b"", None),
        (b"{", None),
        (b'{"label": NaN}', None),
        (b'{"label": "\xff"}', None),
    ],
)
def test_a_wrong_setting_is_refused_and_nothing_set(
    gateway: GatewayProcess, body: Any, param: str | None
) -> None:
    say(gateway, "hi", "notes")
    before = get(gateway, "/notes")
    refused = call(gateway, "PATCH", "/notes", body)
    assert refused.status == 400, refused.body
    assert refused.error["param"] == param
    assert get(gateway, "/notes") == before


def test_a_label_belongs_to_one_session(gateway: GatewayProcess) -> None:
    for name in ("one", "two"):
        say(gateway, "hi", name)
    assert call(gateway, "PATCH", "/one", {"label": "mine"}).status == 200
    refused = call(gateway, "PATCH", "/two", {"label": "mine"})
    assert (refused.status, refused.error["message"]) == (400, "label already in use: mine")


@pytest.mark.parametrize(
    ("path", "param"),
    [
        ("?limit=0", "limit"),
        ("?limit=-1", "limit"),
        ("?limit=", "limit"),
        ("?limit=ten", "limit"),
        ("?limit=1.5", "limit"),
        (f"?limit={'9' * 30}", "limit"),
        ("?limit=%D9%A3", "limit"),
        ("?after=nonsense", "after"),
        ("?after=W10", "after"),
        ("?after=WzEsMiwzXQ", "after"),
        ("?after=WyJhIiwgImIiXQ", "after"),
        ("?after=Wy0xLDFd", "after"),
        ("?after=WzFlMzAsMV0", "after"),
        ("?after=WzExMTExMTExMTExMTExMTExMTExMTExMTExMTEsMV0", "after"),
        ("?search=%00", "search"),
        (f"?search={'x' * 513}", "search"),
        ("/notes/history?limit=none", "limit"),
        ("/notes/history?before=1&after=2", "after"),
        ("/notes/history?before=%0A%00a", "before"),
    ],
)
def test_wrong_parameters_are_named(gateway: GatewayProcess, path: str, param: str) -> None:
    say(gateway, "hi", "notes")
    refused = call(gateway, "GET", path)
    assert (refused.status, refused.error["param"]) == (400, param), refused.body


@pytest.mark.parametrize("most", [0, -1, 1.5, "10", True, [], 2**40])
def test_a_wrong_number_of_messages_is_refused(gateway: GatewayProcess, most: Any) -> None:
    say(gateway, "hi", "notes")
    refused = call(gateway, "POST", "/notes/compact", {"maxMessages": most})
    assert (refused.status, refused.error["param"]) == (400, "maxMessages")
    assert get(gateway, "/notes")["messageCount"] == 2


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize(
    "message", ["999999", "9" * 18, "9" * 25, "0" * 40 + "1", "abc", "-1", "a'b", "é", "1.0"]
)
def test_a_message_that_is_not_there(gateway: GatewayProcess, side: str, message: str) -> None:
    say(gateway, "hi", "notes")
    missing = call(gateway, "GET", f"/notes/history?{side}={quote(message)}")
    assert (missing.status, missing.error["code"]) == (404, "not_found")


def test_another_sessions_message_is_not_there(gateway: GatewayProcess) -> None:
    say(gateway, "hi", "one")
    say(gateway, "hi", "two")
    other = get(gateway, "/two/history")["messages"][0]["id"]
    assert call(gateway, "GET", f"/one/history?after={other}").status == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/none"),
        ("PATCH", "/none"),
        ("DELETE", "/none"),
        ("GET", "/none/history"),
        ("POST", "/none/reset"),
        ("POST", "/none/compact"),
    ],
)
def test_a_session_that_is_not_there(gateway: GatewayProcess, method: str, path: str) -> None:
    missing = call(gateway, method, path, {})
    assert (missing.status, missing.error["code"]) == (404, "not_found"), missing.body
    assert keys(get(gateway, "")) == []


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("POST", "", "GET, HEAD"),
        ("POST", "/notes", "DELETE, GET, HEAD, PATCH"),
        ("PUT", "/agent:main:notes", "DELETE, GET, HEAD, PATCH"),
        ("POST", "/notes/history", "GET, HEAD"),
        ("GET", "/notes/reset", "POST"),
        ("GET", "/notes/compact", "POST"),
        ("OPTIONS", "/notes", "DELETE, GET, HEAD, PATCH"),
    ],
)
def test_a_wrong_method_is_refused_before_the_secret(
    gateway: GatewayProcess, method: str, path: str, allow: str
) -> None:
    refused = call(gateway, method, path, headers={})
    assert (refused.status, refused.headers["Allow"]) == (405, allow)


@pytest.mark.parametrize("path", ["/", "//notes", "/notes/", "/agent:main:notes/history/"])
def test_addresses_are_exact(gateway: GatewayProcess, path: str) -> None:
    say(gateway, "hi", "notes")
    assert call(gateway, "GET", path).status == 404


@pytest.mark.parametrize("path", ["/agent::x", "/agent:main:", "/%0A", f"/{'x' * 513}"])
def test_a_malformed_key(gateway: GatewayProcess, path: str) -> None:
    assert call(gateway, "GET", path).error["code"] == "invalid_session_key"


def test_without_the_secret(gateway: GatewayProcess) -> None:
    for method, path in (("GET", ""), ("PATCH", "/notes"), ("DELETE", "/notes"), ("POST", "/notes/reset")):
        assert call(gateway, method, path, {}, headers={}).status == 401


def test_they_are_off_with_chat_completions(start_gateway: StartGateway, provider: ScriptedProvider) -> None:
    config = config_for(provider.url)
    del config["gateway"]["http"]
    gateway = start_gateway(config)
    for method, path in (("GET", ""), ("POST", ""), ("DELETE", "/notes"), ("GET", "/notes/history")):
        refused = call(gateway, method, path, headers={})
        assert (refused.status, refused.error["code"]) == (404, "endpoint_disabled")
        assert "chatCompletions.enabled" in refused.error["message"]


def test_reset_empties_the_conversation_and_keeps_the_settings(gateway: GatewayProcess) -> None:
    say(gateway, "hi", "notes")
    assert call(gateway, "PATCH", "/notes", {"thinkingLevel": "low"}).status == 200
    before = get(gateway, "/notes")
    after = call(gateway, "POST", "/notes/reset").json
    assert (after["messageCount"], after["resetCount"], after["title"]) == (0, 1, None)
    assert (after["settings"], after["sessionId"]) == (before["settings"], before["sessionId"])
    assert get(gateway, "/notes/history")["messages"] == []


def test_delete(gateway: GatewayProcess) -> None:
    say(gateway, "hi", "notes")
    deleted = call(gateway, "DELETE", "/notes")
    assert deleted.json == {"key": "agent:main:notes", "deleted": True}
    assert call(gateway, "GET", "/notes").status == 404
    say(gateway, "hi", "main")
    refused = call(gateway, "DELETE", "/main")
    assert (refused.status, "main session" in refused.error["message"]) == (400, True)


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/notes/reset"), ("DELETE", "/notes"), ("POST", "/notes/compact")]
)
def test_what_empties_a_session_ends_its_runs(
    gateway: GatewayProcess, provider: ScriptedProvider, method: str, path: str
) -> None:
    provider.plays([text("I go on"), hang()])
    ended: list[Answer] = []

    def go_on() -> None:
        body = {"model": "openclaw", "messages": [{"role": "user", "content": "hi"}]}
        ended.append(gateway.chat(body, x_openclaw_session_key="notes"))

    asking = threading.Thread(target=go_on)
    asking.start()
    wait_until(lambda: provider.open == 1, PATIENCE, "the run to begin")
    busy = get(gateway, "/notes")
    assert (busy["phase"], len(busy["runs"])) == ("running", 1)
    assert call(gateway, method, path).status == 200
    asking.join(PATIENCE)
    assert ended[0].error["code"] == "run_aborted"
    assert get(gateway, "?search=notes")["sessions"] == [] or get(gateway, "/notes")["phase"] == "idle"


def test_what_goes_on_in_a_session(start_gateway: StartGateway, provider: ScriptedProvider) -> None:
    """A run that waits for approval, one that waits behind it, and the call in question."""
    exec_tool = {"exec": {"security": "allowlist", "ask": "always"}}
    gateway = start_gateway(agent_config(provider.url, exec_tool))
    arguments = '{"command": "echo one"}'
    provider.plays([tool_call(0, "call_7", "exec", arguments), finish("tool_calls"), done()], says("Done."))
    with operator(gateway) as client:
        for number in (1, 2):
            run = {"sessionKey": "notes", "message": f"go {number}", "idempotencyKey": f"run-{number}"}
            client.call("chat.send", run)
        wait_until(
            lambda: get(gateway, "/notes")["phase"] == "waiting_for_approval", PATIENCE, "the question"
        )
        found = get(gateway, "/notes")
        assert found["phase"] in PHASES
        assert [(one["id"], one["state"]) for one in found["runs"]] == [
            ("run-1", "running"),
            ("run-2", "queued"),
        ]
        [tool] = found["activeTools"]
        assert (tool["id"], tool["name"], tool["runId"]) == ("call_7", "exec", "run-1")
        [approval] = found["pendingApprovals"]
        assert approval["presentation"]["commandText"] == "echo one"
        assert found["lastEventRunId"] == "run-1"
        assert found["lastEventId"] >= 3
        assert keys(get(gateway, "")) == [found["key"]]
        assert get(gateway, "")["sessions"][0]["phase"] == "waiting_for_approval"
        client.call("approval.resolve", {"id": approval["id"], "decision": "deny"})
        wait_until(lambda: get(gateway, "/notes")["phase"] == "idle", PATIENCE, "the end of both runs")


def test_a_run_waits_for_its_turn(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    go_on = threading.Event()
    provider.plays([text("a"), wait_for(go_on), finish(), done()], says("b"))
    with operator(gateway) as client:
        for number in (1, 2):
            run = {"sessionKey": "notes", "message": f"go {number}", "idempotencyKey": f"turn-{number}"}
            client.call("chat.send", run)
        wait_until(lambda: provider.open == 1, PATIENCE, "the first run to begin")
        found = get(gateway, "/notes")
        assert (found["phase"], [one["state"] for one in found["runs"]]) == ("running", ["running", "queued"])
        go_on.set()
        client.until("chat", state="final", runId="turn-2")


def test_a_client_that_follows_sessions_is_told_of_changes(gateway: GatewayProcess) -> None:
    say(gateway, "hi", "notes")
    key = "agent:main:notes"
    with operator(gateway) as client:
        client.call("sessions.subscribe")
        call(gateway, "PATCH", "/notes", {"label": "Mine"})
        patched = client.until("sessions.changed", sessionKey=key, reason="patch")
        assert patched["session"]["label"] == "Mine"
        call(gateway, "POST", "/notes/compact", {"maxMessages": 1})
        assert client.until("sessions.changed", sessionKey=key, reason="compact")
        call(gateway, "POST", "/notes/reset")
        assert client.until("sessions.changed", sessionKey=key, reason="reset")["session"]
        call(gateway, "DELETE", "/notes")
        assert client.until("sessions.changed", sessionKey=key, reason="delete")["session"] is None


@pytest.fixture
def proxied(share_gateway: ShareGateway, provider: ScriptedProvider) -> GatewayProcess:
    return share_gateway(proxy_config(provider.url))


def as_user(name: str, **more: str) -> dict[str, str]:
    return {USER_HEADER: name, **more}


def test_users_have_their_own_sessions(proxied: GatewayProcess) -> None:
    assert ask(proxied, "ann", "a secret", x_openclaw_session_key="notes").status == 200
    assert ask(proxied, "bob", "hello", x_openclaw_session_key="bobs").status == 200
    [anns] = call(proxied, "GET", "", headers=as_user("ann")).json["sessions"]
    assert anns["title"] == "a secret"
    for name in ("notes", anns["key"], quote(anns["key"], safe="")):
        assert call(proxied, "GET", f"/{name}", headers=as_user("ann")).json == anns
        for method, path in (
            ("GET", f"/{name}"),
            ("PATCH", f"/{name}"),
            ("GET", f"/{name}/history"),
        ):
            refused = call(proxied, method, path, {"label": "x"}, as_user("bob"))
            missing = call(proxied, method, path.replace(name, "nothing"), {"label": "x"}, as_user("bob"))
            assert (refused.status, missing.status) == (404, 404)
    assert "a secret" not in call(proxied, "GET", "?search=secret", headers=as_user("bob")).body.decode()
    assert len(call(proxied, "GET", "", headers=as_user("root")).json["sessions"]) == 2
    assert call(proxied, "GET", f"/{anns['key']}", headers=as_user("root")).status == 200


def test_scopes_are_those_of_the_gateway_protocol(proxied: GatewayProcess) -> None:
    assert ask(proxied, "ann", "hi", x_openclaw_session_key="notes").status == 200
    reader = as_user("ann", **{"x-openclaw-scopes": "operator.read"})
    assert call(proxied, "GET", "/notes", headers=reader).status == 200
    for method, path, who in (
        ("PATCH", "/notes", reader),
        ("DELETE", "/notes", as_user("ann")),
        ("POST", "/notes/reset", as_user("ann")),
        ("POST", "/notes/compact", as_user("ann")),
        ("GET", "", as_user("ann", **{"x-openclaw-scopes": ""})),
    ):
        refused = call(proxied, method, path, {"label": "x"}, who)
        assert (refused.status, refused.error["code"]) == (403, "missing_scope"), (method, path)
    assert call(proxied, "PATCH", "/notes", {"label": "x"}, as_user("ann")).status == 200
    refused = call(proxied, "PATCH", "/notes", {"model": "test/test"}, as_user("ann"))
    assert (refused.status, refused.error["type"]) == (403, "forbidden")
