"""`sessions.*` as clients see them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from app.auth.principal import Principal
from app.auth.scopes import WRITE
from app.events.types import RunFailed
from app.sessions.keys import MAX_LABEL
from app.ws.methods import sessions

if TYPE_CHECKING:
    from tests.unit.ws.methods.conftest import Office

MAIN = "agent:main:main"


class TestList:
    def test_nothing(self, office: Office):
        answer = office.call("sessions.list")
        assert (answer["sessions"], answer["count"], answer["totalCount"]) == ([], 0, 0)
        assert answer["defaults"] == {"modelProvider": "play", "model": "answer", "contextTokens": 1000}
        assert (answer["hasMore"], answer["nextOffset"]) == (False, None)
        assert answer["path"].startswith("sqlite:///")
        assert abs(answer["ts"] - time.time() * 1000) < 10_000

    def test_a_row(self, office: Office):
        office.say("What is\nthis?")
        office.call("sessions.patch", {"key": "main", "label": "Mine", "thinkingLevel": "high"})
        (row,) = office.call("sessions.list")["sessions"]
        stored = office.gateway.store.index.describe(MAIN)
        assert row == {
            "key": MAIN,
            "kind": "direct",
            "agentId": "main",
            "sessionId": stored.session_id,
            "createdAt": stored.created_at,
            "updatedAt": stored.updated_at,
            "lifecycleRevision": 0,
            "label": "Mine",
            "thinkingLevel": "high",
            "modelProvider": "play",
            "model": "answer",
            "contextTokens": 1000,
            "inputTokens": 100,
            "outputTokens": 50,
            "totalTokens": 150,
            "hasActiveRun": False,
        }

    def test_texts_for_those_who_ask(self, office: Office):
        office.say("What is\nthis?")
        asked = {"includeDerivedTitles": True, "includeLastMessage": True, "somethingNew": [1]}
        (row,) = office.call("sessions.list", asked)["sessions"]
        assert (row["derivedTitle"], row["lastMessagePreview"]) == ("What is this?", "Hello.")
        (row,) = office.call("sessions.list", {"includeDerivedTitles": True})["sessions"]
        assert "lastMessagePreview" not in row

    def test_filters_and_pages(self, office: Office):
        for name in ("one", "two", "three"):
            office.call("sessions.create", {"key": name, "label": name.upper()})
        office.call("sessions.create", {"key": "agent:beta:four"})

        def keys(**params: Any) -> list[str]:
            return [row["key"].rpartition(":")[2] for row in office.call("sessions.list", params)["sessions"]]

        assert set(keys()) == {"one", "two", "three", "four"}
        assert keys(agentId="beta") == ["four"]
        assert keys(label="TWO") == ["two"]
        assert keys(search="thr") == ["three"]
        assert keys(spawnedBy=MAIN) == []
        assert len(keys(activeMinutes=5)) == 4
        page = office.call("sessions.list", {"limit": 3})
        assert (page["count"], page["totalCount"], page["hasMore"], page["nextOffset"]) == (3, 4, True, 3)
        assert len(keys(limit=3, offset=3)) == 1

    def test_wrong_parameters(self, office: Office):
        assert office.refusal("sessions.list", {"limit": "x"}) == (
            "invalid sessions.list params: at /limit: must be integer"
        )
        office.refusal("sessions.list", {"limit": 0})
        office.refusal("sessions.list", {"includeLastMessage": "yes"})

    def test_a_run_that_goes_on(self, office: Office):
        office.start(key="agent:beta:main")
        (row,) = office.call("sessions.list")["sessions"]
        assert row["hasActiveRun"]
        assert "inputTokens" not in row


class TestFound:
    def test_described(self, office: Office):
        assert office.call("sessions.describe", {"key": "main"}) == {"session": None}
        office.say()
        row = office.call("sessions.describe", {"key": "Main", "includeLastMessage": True})["session"]
        assert (row["key"], row["lastMessagePreview"]) == (MAIN, "Hello.")

    def test_resolved(self, office: Office):
        office.say()
        session_id = office.gateway.store.index.describe(MAIN).session_id
        office.call("sessions.patch", {"key": MAIN, "label": "Mine"})
        answer = {"ok": True, "key": MAIN, "agentId": "main"}
        for named in ({"key": "MAIN"}, {"sessionId": session_id}, {"label": "Mine"}):
            assert office.call("sessions.resolve", named) == answer

    def test_not_resolved(self, office: Office):
        assert office.refusal("sessions.resolve") == "Either key, sessionId, or label is required"
        both = {"key": "a", "label": "b"}
        assert office.refusal("sessions.resolve", both).startswith("Provide either key, sessionId, or label")
        assert office.refusal("sessions.resolve", {"key": "x"}) == "No session found: x"
        assert office.refusal("sessions.resolve", {"label": "x"}) == "No session found with label: x"

    def test_a_name_that_users_share(self, office: Office):
        for key in ("agent:main:a", "agent:main:b"):
            office.gateway.store.runs.accept(key, key, "main", "Ann", "http", [])
        message = office.refusal("sessions.resolve", {"label": "Ann"})
        assert message.startswith("Multiple sessions found with label: Ann (agent:main:")

    @pytest.mark.parametrize("method", ["describe", "patch", "reset", "delete", "compact", "get"])
    def test_every_method_wants_a_good_key(self, office: Office, method: str):
        name = f"sessions.{method}"
        assert office.refusal(name) == f"invalid {name} params: at root: must have required property 'key'"
        assert office.refusal(name, {"key": ""}).endswith("at /key: must NOT have fewer than 1 characters")
        assert office.refusal(name, {"key": 5}).endswith("at /key: must be string")
        assert office.refusal(name, {"key": "agent::x"}) == 'malformed session key "agent::x"'
        assert office.refusal(name, {"key": "x", "agentId": "no good"}) == 'unknown agent id "no good"'


class TestMessages:
    def test_previews(self, office: Office):
        office.say("x" * 1000)
        office.call("sessions.create", {"key": "fresh"})
        keys = ["main", "fresh", "nobody"]
        found = office.call("sessions.preview", {"keys": keys, "maxChars": 20})["previews"]
        assert [(one["key"], one["status"]) for one in found] == [
            ("main", "ok"),
            ("fresh", "empty"),
            ("nobody", "missing"),
        ]
        assert found[0]["items"] == [
            {"role": "user", "text": "x" * 19 + "…"},
            {"role": "assistant", "text": "Hello."},
        ]

    def test_previews_of_much_are_cut_shorter(self, office: Office, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(sessions, "MAX_PREVIEW_TEXT", 600)
        office.say("x" * 1000)
        one = office.call("sessions.preview", {"keys": ["main"], "limit": 2, "maxChars": 2000})
        assert [len(item["text"]) for item in one["previews"][0]["items"]] == [300, 6]
        many = office.call("sessions.preview", {"keys": ["main"] * 30, "limit": 2, "maxChars": 2000})
        assert [len(item["text"]) for item in many["previews"][29]["items"]] == [10, 6]

    def test_wrong_previews(self, office: Office):
        assert "must NOT have fewer" in office.refusal("sessions.preview")
        assert "must NOT have more" in office.refusal("sessions.preview", {"keys": ["k"] * 65})
        office.refusal("sessions.preview", {"keys": "main"})

    def test_messages(self, office: Office):
        office.say("hi")
        found = office.call("sessions.get", {"key": "main"})["messages"]
        assert [one["role"] for one in found] == ["user", "assistant"]
        assert len(office.call("sessions.get", {"key": "main", "limit": 1})["messages"]) == 1
        assert office.call("sessions.get", {"key": "nobody"}) == {"messages": []}


class TestCreate:
    def test_a_new_one_each_time(self, office: Office):
        first, second = office.call("sessions.create"), office.call("sessions.create")
        assert first["key"] != second["key"]
        assert first["key"].startswith("agent:main:dashboard:")
        assert first["runStarted"] is False
        assert first["resolved"] == {"modelProvider": "play", "model": "answer"}
        assert first["sessionId"] == first["entry"]["sessionId"]

    def test_a_named_one(self, office: Office):
        wanted = {"key": "tui-1", "agentId": "beta", "label": "L", "model": "play/answer", "cwd": "/x"}
        made = office.call("sessions.create", wanted)
        assert (made["key"], made["agentId"]) == ("agent:beta:tui-1", "beta")
        assert made["entry"]["label"] == "L"
        assert made["resolved"]["model"] == "answer"
        again = office.call("sessions.create", {"key": "agent:beta:tui-1"})
        assert again["sessionId"] == made["sessionId"]

    def test_for_an_agent_that_is_not_there(self, office: Office):
        for params in ({"agentId": "ghost"}, {"key": "agent:ghost:x"}):
            assert office.refusal("sessions.create", params) == 'unknown agent id "ghost"'
        assert office.gateway.store.index.count() == 0

    def test_with_its_first_message(self, office: Office):
        made = office.call("sessions.create", {"message": "hi", "idempotencyKey": "run-1"})
        assert (made["runStarted"], made["runId"]) == (True, "run-1")
        assert office.peer.watched == {made["key"]}
        deadline = time.monotonic() + 30
        while office.gateway.runs.active:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert office.gateway.store.transcripts.length(made["key"]) == 2

    def test_the_first_message_without_an_idempotency_key(self, office: Office):
        made = office.call("sessions.create", {"message": "hi"})
        assert made["runId"].startswith("run_")


class TestPatch:
    def test_what_was_set(self, office: Office):
        wanted = {
            "key": "Chat",
            "label": "  Mine ",
            "displayName": "My chat",
            "thinkingLevel": "HIGH",
            "verboseLevel": "full",
            "model": "play/slow",
            "pinned": True,
            "agentId": "main",
        }
        answer = office.call("sessions.patch", wanted)
        entry = answer["entry"]
        assert (answer["ok"], answer["key"]) == (True, "agent:main:chat")
        assert answer["resolved"] == {"modelProvider": "play", "model": "slow"}
        assert {name: entry[name] for name in ("label", "displayName", "thinkingLevel", "pinned")} == {
            "label": "Mine",
            "displayName": "My chat",
            "thinkingLevel": "high",
            "pinned": True,
        }
        assert (entry["model"], entry["modelProvider"]) == ("slow", "play")
        assert (entry["modelOverride"], entry["providerOverride"]) == ("slow", "play")
        assert "agentId" not in entry
        assert office.gateway.store.runs.settings_of("agent:main:chat")["model"] == "play/slow"

    def test_null_clears(self, office: Office):
        office.call("sessions.patch", {"key": "main", "model": "play/slow", "thinkingLevel": "low"})
        answer = office.call("sessions.patch", {"key": "main", "model": None, "thinkingLevel": None})
        assert answer["resolved"]["model"] == "answer"
        assert set(answer["entry"]) == {"sessionId", "createdAt", "updatedAt", "lifecycleRevision"}

    def test_who_may_only_write_may_set_less(self, office: Office):
        office.peer.principal = Principal("token", scopes=frozenset({WRITE}))
        office.call(
            "sessions.patch", {"key": "main", "label": "Mine", "model": "big", "thinkingLevel": "low"}
        )
        for name, value in (("verboseLevel", "on"), ("elevatedLevel", "full"), ("other", 1)):
            message = office.refusal("sessions.patch", {"key": "main", name: value})
            assert message == "missing scope: operator.admin"
        assert set(office.gateway.store.runs.settings_of(MAIN)) == {"model", "thinkingLevel"}

    def test_a_model_may_lack_its_provider(self, office: Office):
        answer = office.call("sessions.patch", {"key": "main", "model": "big"})
        assert answer["resolved"] == {"modelProvider": "corp", "model": "big"}

    @pytest.mark.parametrize(
        ("name", "value", "message"),
        [
            ("thinkingLevel", "loud", "invalid thinkingLevel (use off|minimal|low|"),
            ("thinkingLevel", 3, "invalid thinkingLevel (use "),
            ("verboseLevel", "x", "invalid verboseLevel (use on|off|full)"),
            ("reasoningLevel", "x", "invalid reasoningLevel (use on|off|stream)"),
            ("responseUsage", "x", "invalid responseUsage (use "),
            ("elevatedLevel", "x", "invalid elevatedLevel (use on|off|ask|full)"),
            ("sendPolicy", "x", "invalid sendPolicy (use allow|deny)"),
            ("groupActivation", "x", "invalid groupActivation (use mention|always)"),
            ("label", "  ", "invalid label: empty"),
            ("label", "x" * (MAX_LABEL + 1), "invalid label: too long (max 512)"),
            ("label", 5, "invalid label: must be a string"),
            ("displayName", [], "invalid displayName: must be a string"),
            ("model", "", "invalid model: empty"),
            ("model", "play/nope", "Unknown model 'play/nope'"),
            ("model", "nope", "Unknown model 'nope'"),
            ("other", "x" * 5000, "invalid other: too long"),
            ("other", "\ud800", "invalid other: not valid text"),
            ("o" * 100, 1, "invalid oooo"),
        ],
    )
    def test_what_is_refused(self, office: Office, name: str, value: Any, message: str):
        assert office.refusal("sessions.patch", {"key": "main", name: value}).startswith(message)
        assert office.gateway.store.index.count() == 0

    def test_a_label_is_given_once(self, office: Office):
        office.call("sessions.patch", {"key": "one", "label": "Mine"})
        assert office.refusal("sessions.patch", {"key": "two", "label": "Mine"}) == (
            "label already in use: Mine"
        )

    def test_the_next_run_honours_the_model(self, office: Office):
        office.call("sessions.patch", {"key": "agent:beta:main", "model": "play/answer"})
        settings = office.gateway.store.runs.settings_of("agent:beta:main")
        assert office.say(key="agent:beta:main", model=settings["model"]).model == "play/answer"


class TestBeginAnew:
    def test_what_was_said_is_forgotten(self, office: Office):
        office.say()
        session_id = office.gateway.store.index.describe(MAIN).session_id
        answer = office.call("sessions.reset", {"key": "main", "reason": "new"})
        assert (answer["ok"], answer["key"]) == (True, MAIN)
        assert (answer["entry"]["sessionId"], answer["entry"]["lifecycleRevision"]) == (session_id, 1)
        assert office.call("sessions.get", {"key": "main"}) == {"messages": []}

    def test_one_that_was_not_there_is_made(self, office: Office):
        assert office.call("sessions.reset", {"key": "fresh"})["entry"]["lifecycleRevision"] == 0

    @pytest.mark.parametrize("method", ["reset", "delete", "compact"])
    def test_a_run_that_goes_on_is_stopped_first(self, office: Office, method: str):
        runs = [office.start(key="agent:beta:x") for _ in range(2)]
        other_run = office.start(key="agent:beta:y")
        office.call(f"sessions.{method}", {"key": "agent:beta:x"})
        assert all(isinstance(run.log.end, RunFailed) and run.log.end.aborted for run in runs)
        assert not other_run.ended
        left = [] if method != "compact" else ["user", "user"]
        rows = office.gateway.store.transcripts.page("agent:beta:x", 10)
        assert [row.message.role for row in rows if row.message.role == "user"] == left

    def test_one_that_does_not_stop(self, office: Office, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr("app.control.run_stopper.STOP_SECONDS", 0.05)
        run = office.start(key="agent:beta:x")
        monkeypatch.setattr(run, "abort", lambda _: True)
        message = office.refusal("sessions.delete", {"key": "agent:beta:x"})
        assert message == "Session agent:beta:x is still active; try again in a moment."
        assert office.gateway.store.index.count() == 1
        monkeypatch.undo()

    def test_deleted(self, office: Office):
        office.say(key="agent:main:x")
        answer = {"ok": True, "key": "agent:main:x", "deleted": True, "archived": []}
        assert office.call("sessions.delete", {"key": "X", "deleteTranscript": True}) == answer
        assert office.call("sessions.delete", {"key": "x"}) == {**answer, "deleted": False}

    def test_the_main_session_stays(self, office: Office):
        office.say()
        for name in ("main", "Agent:Main:Main"):
            message = office.refusal("sessions.delete", {"key": name})
            assert message == f"Cannot delete the main session ({MAIN})."
        assert office.gateway.store.index.count() == 1

    def test_compacted(self, office: Office):
        for _ in range(3):
            office.say()
        answer = office.call("sessions.compact", {"key": "main", "maxLines": 3})
        assert answer == {"ok": True, "key": MAIN, "compacted": True, "kept": 3}
        again = office.call("sessions.compact", {"key": "main"})
        assert again == {"ok": True, "key": MAIN, "compacted": False, "kept": 3}
        nothing = office.call("sessions.compact", {"key": "nobody"})
        assert (nothing["compacted"], nothing["reason"]) == (False, "no transcript")
        office.refusal("sessions.compact", {"key": "main", "maxLines": 0})


class TestSubscriptions:
    def test_of_all_sessions(self, office: Office):
        assert office.call("sessions.subscribe") == {"subscribed": True}
        listed = office.call("sessions.subscribe", {"limit": 5})
        assert (listed["subscribed"], listed["list"]["count"]) == (True, 0)
        assert office.call("sessions.unsubscribe") == {"subscribed": False}

    def test_of_one(self, office: Office):
        answer = office.call("sessions.messages.subscribe", {"key": "Main"})
        assert answer == {"subscribed": True, "key": MAIN}
        assert office.peer.watched == {MAIN}
        replay = office.call("sessions.messages.subscribe", {"key": "main", "includeApprovals": True})
        assert replay["approvalReplay"]["approvals"] == []
        assert replay["approvalReplay"]["sessionKey"] == MAIN
        answer = office.call("sessions.messages.unsubscribe", {"key": "main"})
        assert answer == {"subscribed": False, "key": MAIN}
        assert office.peer.watched == set()
