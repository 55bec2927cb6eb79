"""How the gateway is, who is there, what may be chosen, and what it does not have."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import orjson
import pytest

from app import VERSION
from app.auth.method_scopes import METHOD_SCOPES
from app.auth.principal import Principal
from app.auth.scopes import READ, WRITE
from app.ws.methods.approval_rules import APPROVAL_RULES
from app.ws.methods.approvals import APPROVALS
from app.ws.methods.status import build_health
from tests.unit.ws.methods.conftest import METHODS

if TYPE_CHECKING:
    from tests.unit.ws.methods.conftest import Office


def test_every_method_answers_in_json(office: Office):
    office.say()
    needed = {
        "config.schema.lookup": {"path": "gateway.auth"},
        "sessions.preview": {"keys": ["main"]},
        "sessions.resolve": {"key": "main"},
        "set-heartbeats": {"enabled": True},
        "config.patch": {"raw": "{gateway: {port: 18791}}"},
        "config.set": {"raw": "{}"},
        "config.apply": {"raw": "{}"},
    }
    for name in METHODS:
        params = {"key": "main", **needed.get(name, {}), "somethingNew": {"of": "a newer client"}}
        if name in ("config.set", "config.apply", "config.patch", "sessions.delete"):
            continue  # refused with these parameters; see their own tests
        if name in APPROVALS or name in APPROVAL_RULES:
            continue  # in test_approval_methods.py
        if name.startswith("question.") and name != "question.list":
            continue  # in tests/e2e/test_questions.py
        orjson.dumps(office.call(name, params))


def test_scopes():
    free = [name for name in METHODS if METHOD_SCOPES[name] is None]
    assert free == ["health"]
    writing = {name for name in METHODS if METHOD_SCOPES[name] not in (READ, None)}
    assert writing >= {"config.set", "config.apply", "config.patch", "set-heartbeats", "sessions.create"}
    assert writing >= {f"sessions.{name}" for name in ("patch", "reset", "delete", "compact")}
    assert {name for name in METHODS if METHOD_SCOPES[name] == WRITE} == {
        "sessions.create",
        "sessions.fork",
        "sessions.patch",
    }


class TestHealth:
    def test_what_it_says(self, office: Office):
        office.say()
        answer = office.call("health", {"probe": True})
        assert answer["ok"] is True
        assert (answer["channels"], answer["channelOrder"], answer["defaultAgentId"]) == ({}, [], "main")
        main, beta = answer["agents"]
        assert (main["agentId"], main["isDefault"], main["heartbeat"]["enabled"]) == ("main", True, False)
        assert (main["sessions"]["count"], beta["sessions"]["count"], answer["sessions"]["count"]) == (
            1,
            0,
            1,
        )
        (recent,) = answer["sessions"]["recent"]
        assert (recent["key"], set(recent)) == ("agent:main:main", {"key", "updatedAt", "age"})
        assert answer["durationMs"] >= 0

    def test_names_of_sessions_are_for_those_who_may_read(self, office: Office):
        office.say()
        office.peer.principal = Principal("token")
        answer = office.call("health")
        assert (answer["sessions"]["count"], answer["sessions"]["recent"]) == (1, [])

    def test_the_event_carries_the_same(self, office: Office):
        office.say()
        assert build_health(office.gateway).keys() == office.call("health").keys()


def test_status(office: Office):
    office.say()
    answer = office.call("status", {"includeChannelSummary": False})
    assert answer["runtimeVersion"] == VERSION
    assert answer["heartbeat"]["agents"][0] == {
        "agentId": "main",
        "enabled": False,
        "every": "disabled",
        "everyMs": None,
    }
    assert (answer["channelSummary"], answer["queuedSystemEvents"]) == ([], [])
    sessions = answer["sessions"]
    assert sessions["defaults"] == {"modelProvider": "play", "model": "answer", "contextTokens": 1000}
    assert (sessions["count"], sessions["recent"][0]["totalTokens"]) == (1, 150)
    assert [(one["agentId"], one["count"]) for one in sessions["byAgent"]] == [("main", 1), ("beta", 0)]


def test_presence_is_a_bare_list(office: Office):
    gateway, client = office.call("system-presence")
    assert (gateway["mode"], gateway["reason"], gateway["version"]) == ("gateway", "self", VERSION)
    assert (client["host"], client["mode"], client["platform"]) == ("Tess", "test", "linux")


def test_there_are_no_heartbeats(office: Office):
    assert office.call("last-heartbeat") is None
    assert office.call("set-heartbeats", {"enabled": True}) == {"ok": True, "enabled": False}
    for wrong in ({}, {"enabled": "yes"}):
        message = office.refusal("set-heartbeats", wrong)
        assert message == "invalid set-heartbeats params: enabled (boolean) required"


class TestAgents:
    def test_listed(self, office: Office):
        answer = office.call("agents.list")
        assert (answer["defaultId"], answer["mainKey"], answer["scope"]) == ("main", "main", "per-sender")
        main, beta = answer["agents"]
        picture = "https://pictures.example/ada.png"
        assert main["identity"] == {"name": "Ada", "emoji": "🦀", "avatar": picture, "avatarUrl": picture}
        assert main["workspace"].endswith("/main")
        assert beta["model"] == {"primary": "play/slow", "fallbacks": ["play/unlisted"]}
        assert set(beta) == {"id", "workspace", "model"}

    def test_every_one_has_a_model(self, office: Office, monkeypatch: pytest.MonkeyPatch):
        settings = office.gateway.settings
        bare = tuple(replace(agent, model=None) for agent in settings.agents)
        monkeypatch.setattr(office.gateway.config, "settings", replace(settings, agents=bare))
        models = [agent["model"]["primary"] for agent in office.call("agents.list")["agents"]]
        assert models == [office.gateway.models.default()[0]] * 2

    def test_who_answers(self, office: Office):
        ada = {"agentId": "main", "name": "Ada", "avatar": "https://pictures.example/ada.png", "emoji": "🦀"}
        assert office.call("agent.identity.get") == ada
        assert office.call("agent.identity.get", {"sessionKey": "main"}) == ada
        beta = {"agentId": "beta", "name": "Assistant", "avatar": "A"}
        assert office.call("agent.identity.get", {"agentId": "Beta"}) == beta
        assert office.call("agent.identity.get", {"sessionKey": "agent:beta:x", "agentId": "beta"}) == beta

    def test_who_does_not(self, office: Office):
        mixed = {"sessionKey": "agent:beta:x", "agentId": "main"}
        assert office.refusal("agent.identity.get", mixed) == (
            'invalid agent.identity.get params: agent "main" does not match session key agent "beta"'
        )
        assert office.refusal("agent.identity.get", {"agentId": "ghost"}) == 'unknown agent id "ghost"'
        office.refusal("agent.identity.get", {"sessionKey": "agent::x"})


class TestChoices:
    def test_models(self, office: Office):
        found = office.call("models.list", {"view": "x"})["models"]
        first = next(one for one in found if one["provider"] == "play")
        assert first == {
            "id": "answer",
            "name": "Answerer",
            "provider": "play",
            "contextWindow": 1000,
            "reasoning": False,
            "input": ["text", "image"],
        }
        names = [f"{one['provider']}/{one['id']}" for one in found]
        assert {"play/answer", "play/slow", "play/unlisted", "corp/big", "builtin/echo"} <= set(names)
        assert len(set(names)) == len(names)

    def test_every_model_that_is_listed_may_be_set(self, office: Office):
        for one in office.call("models.list")["models"]:
            office.call("sessions.patch", {"key": "main", "model": f"{one['provider']}/{one['id']}"})

    def test_commands(self, office: Office):
        found = office.call("commands.list", {"includeArgs": True, "scope": "text"})["commands"]
        names = [one["name"] for one in found]
        assert names == ["help", "status", "new", "reset", "stop", "model", "compact"]
        assert [one["name"] for one in found if one["acceptsArgs"]] == ["model"]
        assert found[0]["textAliases"] == ["/help"]

    def test_both_at_once(self, office: Office):
        answer = office.call("chat.metadata", {"sessionKey": "main"})
        assert answer["commands"] == office.call("commands.list")["commands"]
        assert answer["models"] == office.call("models.list")["models"]


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("cron.status", {"enabled": False, "storePath": "", "jobs": 0, "nextWakeAtMs": None}),
        (
            "cron.list",
            {
                "jobs": [],
                "total": 0,
                "offset": 0,
                "limit": 50,
                "hasMore": False,
                "nextOffset": None,
                "snapshotRevision": "none",
            },
        ),
        ("device.pair.list", {"pending": [], "paired": []}),
        ("exec.approval.list", []),
        ("plugin.approval.list", []),
        ("question.list", {"questions": []}),
        ("update.status", {"sentinel": None, "updateAvailable": None}),
    ],
)
def test_what_there_is_not(office: Office, method: str, answer: object):
    assert office.call(method) == answer


def test_what_there_is_not_at_a_certain_time(office: Office):
    assert office.call("node.list")["nodes"] == []
    assert office.call("cron.runs", {"offset": 5})["entries"] == []
    assert office.call("channels.status", {"probe": True})["channels"] == {}
    assert office.call("skills.status")["skills"] == []
    assert office.call("skills.status")["workspaceDir"].endswith("/main")
    assert office.call("models.authStatus")["providers"] == []
    assert office.call("exec.approvals.get")["file"] == {"version": 1, "defaults": {}, "agents": {}}


class TestLogs:
    @pytest.fixture(autouse=True)
    def _hearing(self, office: Office):
        office.gateway.logs.ring.install()
        logger = logging.getLogger("app.test")
        logger.setLevel(logging.INFO)
        for number in range(3):
            logger.info("line %d", number)

    def test_the_newest_then_what_is_new(self, office: Office):
        first = office.call("logs.tail", {"limit": 2})
        assert [orjson.loads(line)["message"] for line in first["lines"]] == ["line 1", "line 2"]
        assert set(first) == {"file", "cursor", "size", "lines", "truncated", "reset"}
        again = office.call("logs.tail", {"cursor": first["cursor"]})
        assert (again["lines"], again["cursor"], again["reset"]) == ([], first["cursor"], False)
        assert office.call("logs.tail", {"cursor": 0})["reset"]

    @pytest.mark.parametrize("wrong", [{"limit": 0}, {"limit": 5001}, {"maxBytes": 0}, {"cursor": -1}])
    def test_wrong_parameters(self, office: Office, wrong: dict[str, int]):
        assert office.refusal("logs.tail", wrong).startswith("invalid logs.tail params: at /")
