"""People whom a trusted proxy names: each has sessions of its own, over HTTP and over WebSocket alike."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from app.auth.method_scopes import METHOD_SCOPES
from app.sessions.keys import space_name, space_of
from tests.e2e.conftest import ShareGateway, StartGateway
from tests.support.gateway import GatewayProcess
from tests.support.operator import Operator, connect_params
from tests.support.provider import ScriptedProvider, finish, hang, pause, says, text, usage
from tests.support.proxy_users import USER_HEADER, ask, connected, proxy_config, say

SECRET = "canary"  # in everything that Ann says and hears
LABEL, RUN, BUSY_RUN, KEY = "anns-label", "anns-run", "anns-busy-run", "notes"
CAPPED = {"x-openclaw-scopes": "operator.read, operator.write"}


@pytest.fixture
def gateway(start_gateway: StartGateway, provider: ScriptedProvider) -> GatewayProcess:
    return start_gateway(proxy_config(provider.url))


@pytest.fixture
def shared(share_gateway: ShareGateway, provider: ScriptedProvider) -> GatewayProcess:
    """For tests that only ask, and see nothing of what others have left."""
    return share_gateway(proxy_config(provider.url))


def state_of(client: Operator) -> Any:
    """All that a client can see of its sessions, without what changes by looking."""
    listed = client.call("sessions.list", {"includeDerivedTitles": True, "includeLastMessage": True})
    keys = [row["key"] for row in listed["sessions"]]
    histories = [client.call("chat.history", {"sessionKey": key})["messages"] for key in keys]
    return listed["sessions"], histories


class Ann:
    """A user with sessions, a label, a finished run and one that is going on."""

    def __init__(self, gateway: GatewayProcess, provider: ScriptedProvider) -> None:
        self.client = connected(gateway, "ann")
        provider.plays(says(f"{SECRET} answer"))
        self.key = say(self.client, f"{SECRET} question", KEY, RUN)["sessionKey"]
        self.client.call("sessions.patch", {"key": KEY, "label": LABEL, "displayName": f"{SECRET} name"})
        assert ask(gateway, "ann", f"{SECRET} by HTTP", x_openclaw_session_key="http").status == 200
        provider.plays([text(f"{SECRET} going on"), hang()])
        busy = {"sessionKey": "busy", "message": f"{SECRET} busy", "idempotencyKey": BUSY_RUN}
        self.client.call("chat.send", busy)
        self.client.until("chat", runId=BUSY_RUN, state="delta")
        self.session_id = self.client.call("chat.history", {"sessionKey": KEY})["sessionId"]
        self.state = state_of(self.client)

    def names(self) -> list[dict[str, Any]]:
        """The ways to name what is hers, as params of any method: each method reads those that it knows."""
        common = {"message": "hello", "timeoutMs": 1, "enabled": True, "path": "gateway", "limit": 50}
        spellings = (self.key, KEY, "agent:main:notes", "busy", f"agent:main:{space_name('ann')}busy")
        by_key = [
            {"key": one, "sessionKey": one, "keys": [one], "runId": run, "idempotencyKey": run}
            for one, run in zip(spellings, (RUN, RUN, RUN, BUSY_RUN, BUSY_RUN), strict=True)
        ]
        owned_run = space_name("ann") + RUN
        others: list[dict[str, Any]] = [
            {"sessionId": self.session_id},
            {"label": LABEL, "idempotencyKey": owned_run, "runId": owned_run, "key": "a", "sessionKey": "a"},
            {"search": SECRET, "includeDerivedTitles": True, "includeLastMessage": True},
            {"search": "of:", "agentId": "main"},
        ]
        return [{**common, **one} for one in (*by_key, *others)]


@pytest.mark.parametrize(("user", "headers"), [("bob", {}), ("root", CAPPED)])
def test_no_method_gives_a_user_anything_of_anothers(
    gateway: GatewayProcess, provider: ScriptedProvider, user: str, headers: dict[str, str]
) -> None:
    ann = Ann(gateway, provider)
    with ann.client:
        for params in ann.names():
            # A connection for each: one that fails too often is closed.
            with connected(gateway, user, headers=headers) as client:
                for method in METHOD_SCOPES:
                    client.response(client.request(method, params))
                received = json.dumps([client.hello, *client.frames])
                assert SECRET not in received
                assert ann.session_id not in received or "sessionId" in params
                for event in (*client.events("chat"), *client.events("agent")):
                    assert space_of(event["sessionKey"]) == space_name(user)
        assert state_of(ann.client) == ann.state
        stopped = ann.client.call("chat.abort", {"sessionKey": "busy", "runId": BUSY_RUN})
        assert stopped == {"ok": True, "aborted": True, "runIds": [BUSY_RUN]}


def test_events_go_to_their_owner_and_to_operators(
    gateway: GatewayProcess, provider: ScriptedProvider
) -> None:
    with (
        connected(gateway, "ann") as ann,
        connected(gateway, "ann") as ann_again,
        connected(gateway, "bob") as bob,
        connected(gateway, "root") as root,
        connected(gateway, "root", scopes=["operator.approvals"]) as deaf,
    ):
        say(ann, "by chat.send", "notes", "ann-1")
        ask(gateway, "ann", "by HTTP, stored", x_openclaw_session_key="notes")
        ask(gateway, "ann", "by HTTP, not stored")
        ann.call("chat.inject", {"sessionKey": "notes", "message": "injected"})
        ann.call("chat.send", {"sessionKey": "notes", "message": "/help", "idempotencyKey": "ann-help"})
        # What each of them hears last is its own.
        for client, name in ((ann_again, "ann-2"), (bob, "bob-1"), (root, "root-1")):
            say(client, "the end", "end", name)
        finals = {
            who: [event["runId"] for event in client.events("chat") if event["state"] == "final"]
            for who, client in (("ann", ann_again), ("bob", bob), ("root", root))
        }
        assert len(finals["ann"]) == 5  # without the command, whose session only `ann` has opened
        assert (finals["ann"][0], finals["ann"][-1]) == ("ann-1", "ann-2")
        assert finals["bob"] == ["bob-1"]
        assert finals["root"] == [*finals["ann"], "bob-1", "root-1"]
        assert deaf.refusal("sessions.list", {})["code"] == "FORBIDDEN"
        assert not [frame for frame in deaf.frames if frame.get("event") in ("chat", "agent")]


def test_an_idempotency_key_is_its_owners_alone(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    provider.plays(says("for ann"), says("for bob"), says("for root"))
    answers = {}
    for user in ("ann", "bob", "root"):
        with connected(gateway, user) as client:
            for _ in range(2):  # the second time it is the same run
                request = client.request("agent", {"message": "hi", "idempotencyKey": "same"})
                answer = client.response(request)["payload"]
                if answer["status"] == "accepted":
                    answer = client.response(request)["payload"]
                assert answer["runId"] == "same"
                answers[user] = answer["result"]["payloads"][0]["text"]
            waited = client.call("agent.wait", {"runId": "same", "timeoutMs": 1})
            assert (waited["runId"], waited["status"]) == ("same", "ok")
            rows = client.call("chat.history", {"sessionKey": "main"})["messages"]
            assert rows[0]["idempotencyKey"] == "same:user"
            assert rows[1]["__openclaw"]["runId"] == "same"
            for event in client.events("chat"):
                assert event["runId"] == "same"
    assert answers == {"ann": "for ann", "bob": "for bob", "root": "for root"}
    assert len(provider.requests) == 3


def test_the_keys_that_a_user_is_shown_name_its_sessions(
    gateway: GatewayProcess, provider: ScriptedProvider
) -> None:
    """Both transports show the same key and take it back; nobody else gets anywhere with it."""
    shown = ask(gateway, "ann", "one", x_openclaw_session_key="notes").headers["X-OpenClaw-Session-Key"]
    with connected(gateway, "ann") as ann:
        assert [row["key"] for row in ann.call("sessions.list")["sessions"]] == [shown]
        for name in (shown, shown.upper(), "notes", "agent:main:notes", shown.removeprefix("agent:main:")):
            assert ann.call("sessions.resolve", {"key": name})["key"] == shown, name
        assert say(ann, "two", shown, str(uuid.uuid4()))["sessionKey"] == shown
        defaults = ann.hello["snapshot"]["sessionDefaults"]
        main = say(ann, "hi", "main", str(uuid.uuid4()))["sessionKey"]
        assert defaults["mainSessionKey"] == main == f"agent:main:{defaults['mainKey']}"
        assert ann.call("agents.list")["mainKey"] == defaults["mainKey"]
    assert (
        ask(gateway, "ann", "three", x_openclaw_session_key=shown).headers["X-OpenClaw-Session-Key"] == shown
    )
    said = [content for role, content in provider.messages() if role == "user"]
    assert said == ["one", "two", "three"]
    forged = ask(gateway, "bob", "what?", x_openclaw_session_key=shown).headers["X-OpenClaw-Session-Key"]
    assert space_of(forged) == space_name("bob")
    with connected(gateway, "root") as root:
        assert len(root.call("chat.history", {"sessionKey": shown})["messages"]) == 6
        assert {row["key"] for row in root.call("sessions.list")["sessions"]} == {shown, main, forged}


def test_a_name_may_not_look_like_anothers_space(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    """Neither lists nor labels nor usage let one user put something among another's sessions."""
    with connected(gateway, "bob") as bob, connected(gateway, "ann") as ann:
        for number, name in enumerate((f"{space_name('ann')}x", f"agent:main:{space_name('ann')}y")):
            say(bob, "hi", name, f"bob-{number}")
            bob.call("sessions.patch", {"key": name, "label": f"label {number}"})
        assert ann.call("sessions.list")["sessions"] == []
        assert ann.call("sessions.usage")["sessions"] == []
        assert ann.call("usage.cost")["totals"]["totalTokens"] == 0
        assert ann.call("status")["sessions"]["count"] == 0
        assert "No session found" in ann.refusal("sessions.resolve", {"label": "label 0"})["message"]
        assert bob.call("usage.cost")["totals"]["totalTokens"] > 0
        # A label is taken only among one's own sessions.
        say(ann, "hi", "z", "ann-0")
        assert ann.call("sessions.patch", {"key": "z", "label": "label 0"})["ok"]
        assert "already in use" in bob.refusal("sessions.patch", {"key": "w", "label": "label 0"})["message"]


def test_presence_and_health_show_a_user_its_own(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    with connected(gateway, "ann") as ann:
        say(ann, "hi", "notes", "ann-1")
        with connected(gateway, "bob") as bob, connected(gateway, "root") as root:
            assert len(bob.hello["snapshot"]["presence"]) == len(ann.hello["snapshot"]["presence"]) == 0
            assert len(root.hello["snapshot"]["presence"]) == 2
            assert len(bob.call("system-presence")) == 2  # the gateway itself, and Bob
            assert len(root.call("system-presence")) == 4
            assert bob.call("health")["sessions"]["count"] == 0
            assert len(root.call("health")["sessions"]["recent"]) == 1
            assert root.call("logs.tail")["lines"]


@pytest.mark.parametrize(
    ("user", "headers", "status"),
    [
        ("ann", {}, 403),
        ("ann", {"x-openclaw-scopes": "operator.admin"}, 403),
        ("root", CAPPED, 403),
        ("root", {}, 200),
        ("root", {"x-openclaw-scopes": "operator.admin"}, 200),
    ],
)
def test_the_numbers_of_all_users_together_are_for_operators(
    shared: GatewayProcess, user: str, headers: dict[str, str], status: int
) -> None:
    answer = shared.request("GET", "/metrics", headers={USER_HEADER: user, **headers})
    assert answer.status == status
    if status == 403:
        assert answer.error["code"] == "missing_scope"
        assert answer.error["message"] == "missing scope: operator.admin"


@pytest.mark.parametrize(
    ("user", "headers", "asked", "granted"),
    [
        ("ann", {}, None, ["operator.read", "operator.write"]),
        ("ann", {}, ["operator.admin", "operator.approvals"], ["operator.read", "operator.write"]),
        ("ann", {}, ["operator.read"], ["operator.read"]),
        ("ann", {"x-openclaw-scopes": "operator.admin"}, None, ["operator.read", "operator.write"]),
        ("ann", {"x-openclaw-scopes": "operator.read"}, ["operator.admin"], ["operator.read"]),
        ("ann", {"x-openclaw-scopes": ""}, ["operator.read"], []),
        ("ann", {"x-clawdbot-scopes": "operator.read"}, None, ["operator.read"]),
        ("root", {}, None, ["operator.admin"]),
        ("root", {}, ["operator.write", "operator.admin"], ["operator.write", "operator.admin"]),
        ("root", {}, ["operator.read"], ["operator.read"]),
        ("root", CAPPED, ["operator.admin"], ["operator.read", "operator.write"]),
        ("root", {"x-openclaw-scopes": "operator.admin"}, None, ["operator.admin"]),
    ],
)
def test_scopes_come_from_the_principal(
    shared: GatewayProcess, user: str, headers: dict[str, str], asked: Any, granted: list[str]
) -> None:
    with connected(shared, user, headers=headers, scopes=asked) as client:
        assert client.hello["auth"]["scopes"] == granted
        config = client.response(client.request("config.set", {"raw": "{}", "baseHash": "x"}))["error"]
        assert (config["message"] == "missing scope: operator.admin") is ("operator.admin" not in granted)
    # Over HTTP nothing is asked for: what the user has counts.
    caps = {name.replace("-", "_"): value for name, value in headers.items()}
    limited = headers.get("x-openclaw-scopes", headers.get("x-clawdbot-scopes"))
    answer = ask(shared, user, "hi", **caps)
    if limited in ("", "operator.read"):
        assert (answer.status, answer.error["code"]) == (403, "missing_scope")
    else:
        assert answer.status == 200


def test_only_an_operator_chooses_the_model_over_both_transports(
    start_gateway: StartGateway, provider: ScriptedProvider
) -> None:
    config = proxy_config(provider.url)
    config["models"]["providers"]["test"]["models"] = [{"id": "test"}, {"id": "other"}]
    gateway = start_gateway(config)
    assert ask(gateway, "ann", "hi", x_openclaw_model="test/other").status == 403
    with connected(gateway, "ann") as ann:
        for method, params in (
            ("sessions.patch", {"key": "notes", "model": "test/other"}),
            ("sessions.create", {"key": "notes", "model": "test/other"}),
            ("chat.send", {"sessionKey": "notes", "message": "/model test/other", "idempotencyKey": "m"}),
        ):
            refused = ann.refusal(method, params)
            assert refused["code"] == "FORBIDDEN"
            assert "Only the gateway's operator" in refused["message"]
        assert "test/test" in text_of(say(ann, "/model", "notes", "m2"))
    with connected(gateway, "root") as root:
        assert "from now on" in text_of(say(root, "/model test/other", "notes", "m3"))
    assert ask(gateway, "root", "hi", x_openclaw_model="test/other").status == 200


def text_of(event: dict[str, Any]) -> str:
    content: str = event["message"]["content"][0]["text"]
    return content


def test_who_is_no_admin_any_more_is_disconnected(
    gateway: GatewayProcess, provider: ScriptedProvider
) -> None:
    with connected(gateway, "root") as root:
        gateway.write_config(proxy_config(provider.url, adminUsers=[]))
        assert root.close_code() == (1008, "credentials rotated")


def test_a_run_can_be_followed_and_stopped_by_its_owner(
    gateway: GatewayProcess, provider: ScriptedProvider
) -> None:
    """By the id that the client chose, or by the one that an answer over HTTP has."""
    provider.plays([text("a"), hang()], [text("slow"), pause(0.5), finish(), usage(1, 1)])
    with connected(gateway, "ann") as ann, connected(gateway, "root") as root:
        ann.call("chat.send", {"sessionKey": "notes", "message": "hi", "idempotencyKey": "mine"})
        key = root.until("chat", runId="mine", state="delta")["sessionKey"]
        assert root.call("chat.abort", {"sessionKey": key, "runId": "mine"})["runIds"] == ["mine"]
        assert ann.until("chat", runId="mine")["state"] in ("delta", "aborted")
        shown = ask(gateway, "ann", "hi", x_openclaw_session_key="notes").headers["X-OpenClaw-Run-Id"]
        assert ann.call("agent.wait", {"runId": shown})["status"] == "ok"
        with connected(gateway, "bob") as bob:
            assert bob.call("agent.wait", {"runId": shown, "timeoutMs": 1})["status"] == "timeout"


def as_sent(name: str) -> str:
    """A header's value whose bytes are UTF-8, for Python's HTTP client, which writes Latin-1."""
    return name.encode().decode("latin-1")


def test_names_are_utf8_and_lose_only_ascii_blanks(
    start_gateway: StartGateway, provider: ScriptedProvider
) -> None:
    """In Latin-1 the last byte of `à` is a blank that may not be cut off, and so is that of `Å`."""
    users = ["josà", "josÅ", "jos", "josé", "李雷", "ann@example.org"]
    gateway = start_gateway(proxy_config(provider.url, allowUsers=users, adminUsers=["josà"]))
    spaces = set()
    for user in users:
        for written in (user, f"\t {user} \t"):
            answer = ask(gateway, as_sent(written), "hi", x_openclaw_session_key="notes")
            assert answer.status == 200, answer.body
        spaces.add(answer.headers["X-OpenClaw-Session-Key"])
    assert spaces == {
        "agent:main:notes" if user == "josà" else f"agent:main:{space_name(user)}notes" for user in users
    }
    for other in ("josÃ", "Josà", "josa", "jos\u0301e"):
        assert ask(gateway, as_sent(other), "hi").status == 403, other
    for malformed in ("josé", "jos\xff", "", " ", as_sent("a\u0085b"), as_sent("a\u2028b"), "a,b"):
        assert ask(gateway, malformed, "hi").status == 401, malformed


def test_names_are_the_same_over_websocket(start_gateway: StartGateway, provider: ScriptedProvider) -> None:
    gateway = start_gateway(proxy_config(provider.url, allowUsers=["josà", "李雷"], adminUsers=["李雷"]))
    for user, scopes in (("josà", ["operator.read", "operator.write"]), ("李雷", ["operator.admin"])):
        with connected(gateway, user) as client:
            assert client.hello["auth"]["scopes"] == scopes
    with Operator(gateway, headers={USER_HEADER: "josÅ"}) as client:
        client.receive()
        error = client.refusal("connect", connect_params(auth=None))
        assert (error["code"], client.close_code()[0]) == ("FORBIDDEN", 1008)


def test_without_a_list_of_admins_nobody_is_one(
    start_gateway: StartGateway, provider: ScriptedProvider
) -> None:
    """Whatever a user asks for, over WebSocket as over HTTP."""
    config = proxy_config(provider.url)
    del config["gateway"]["auth"]["trustedProxy"]["adminUsers"]
    gateway = start_gateway(config)
    with connected(gateway, "ann") as ann:
        key = say(ann, SECRET, KEY, RUN)["sessionKey"]
        with connected(gateway, "bob", scopes=["operator.admin"]) as bob:
            seen = [
                bob.response(bob.request("sessions.list")),
                bob.response(bob.request("chat.history", {"sessionKey": key})),
                bob.response(bob.request("agent", {"message": "hi", "idempotencyKey": RUN})),
                bob.response(bob.request("config.get")),
                bob.response(bob.request("sessions.delete", {"key": key})),
            ]
            assert SECRET not in json.dumps(seen)
            assert [one["ok"] for one in seen[-2:]] == [False, False]
        assert len(ann.call("chat.history", {"sessionKey": key})["messages"]) == 2
