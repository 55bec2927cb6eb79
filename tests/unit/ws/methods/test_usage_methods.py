"""What was used and what it cost."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from app.errors import InvalidRequest
from app.messages import Message, Usage
from app.sessions.usage import DAY
from app.ws.methods.usage_dates import load_span
from app.ws.params import Params

if TYPE_CHECKING:
    from tests.unit.ws.methods.conftest import Office

PRICE = 100 * 2 / 1e6 + 50 * 4 / 1e6  # of one run of the scripted model


def today() -> str:
    return datetime.now(UTC).date().isoformat()


class TestCost:
    def test_nothing(self, office: Office):
        answer = office.call("usage.cost")
        assert (answer["days"], answer["daily"], answer["totals"]["totalTokens"]) == (30, [], 0)

    def test_by_day(self, office: Office):
        office.say()
        office.say(key="agent:main:other")
        answer = office.call("usage.cost", {"days": 7})
        (day,) = answer["daily"]
        assert (answer["days"], day["date"]) == (7, today())
        assert (day["input"], day["output"], day["totalTokens"]) == (200, 100, 300)
        assert day["totalCost"] == pytest.approx(2 * PRICE)
        assert day["inputCost"] == pytest.approx(4e-4)
        assert answer["totals"]["missingCostEntries"] == 0
        assert office.call("usage.cost", {"agentId": "beta"})["daily"] == []

    def test_a_model_without_a_price(self, office: Office):
        store = office.gateway.store
        for run_id, model in (("r1", "corp/big"), ("r2", "gone/x")):
            store.runs.accept(run_id, "agent:main:k", "main", None, "http", [])
            store.runs.finish(run_id, "finished", [], model=model, usage=Usage(1, 2))
        totals = office.call("usage.cost")["totals"]
        assert (totals["totalTokens"], totals["totalCost"], totals["missingCostEntries"]) == (6, 0, 2)

    def test_quotas_are_not_asked_for(self, office: Office):
        assert office.call("usage.status")["providers"] == []


class TestSessions:
    def test_one_row_each(self, office: Office):
        office.say("hi")
        office.say("more")
        time.sleep(0.002)
        office.say(key="agent:main:other", model="play/answer")
        answer = office.call("sessions.usage", {"limit": 10})
        assert (answer["endDate"], len(answer["sessions"])) == (today(), 2)
        newest, first = answer["sessions"]
        assert (newest["key"], first["key"]) == ("agent:main:other", "agent:main:main")
        assert (first["modelProvider"], first["model"], first["agentId"]) == ("play", "answer", "main")
        usage = first["usage"]
        assert usage["totalTokens"] == 300
        assert usage["totalCost"] == pytest.approx(2 * PRICE)
        assert usage["activityDates"] == [today()]
        assert usage["dailyBreakdown"] == [{"date": today(), "tokens": 300, "cost": pytest.approx(2 * PRICE)}]
        assert usage["messageCounts"] == {
            "total": 4,
            "user": 2,
            "assistant": 2,
            "toolCalls": 0,
            "toolResults": 0,
            "errors": 0,
        }
        assert usage["modelUsage"][0]["count"] == 2
        assert usage["firstActivity"] <= usage["lastActivity"]

    def test_sums(self, office: Office):
        office.say()
        office.say(key="agent:main:other")
        office.gateway.store.runs.accept(
            "bad", "agent:main:main", "main", None, "http", [Message("user", "x")]
        )
        office.gateway.store.runs.finish(
            "bad", "failed", [], error_code="upstream_error", model="play/answer"
        )
        answer = office.call("sessions.usage")
        assert answer["totals"]["totalTokens"] == 300
        sums = answer["aggregates"]
        assert (sums["messages"]["total"], sums["messages"]["errors"]) == (5, 1)
        assert [(one["provider"], one["model"], one["count"]) for one in sums["byModel"]] == [
            ("play", "answer", 3)
        ]
        assert [(one["provider"], one["totals"]["totalTokens"]) for one in sums["byProvider"]] == [
            ("play", 300)
        ]
        assert [(one["agentId"], one["totals"]["totalTokens"]) for one in sums["byAgent"]] == [("main", 300)]
        assert [(one["date"], one["tokens"], one["messages"]) for one in sums["daily"]] == [(today(), 300, 5)]
        assert sums["tools"] == {"totalCalls": 0, "uniqueTools": 0, "tools": []}

    def test_of_two_at_the_same_moment_the_younger_comes_first(
        self, office: Office, monkeypatch: pytest.MonkeyPatch
    ):
        now = time.time_ns()
        monkeypatch.setattr(time, "time_ns", lambda: now)
        office.say()
        office.say(key="agent:main:other")
        found = office.call("sessions.usage")["sessions"]
        assert [one["key"] for one in found] == ["agent:main:other", "agent:main:main"]

    def test_only_those_asked_for(self, office: Office):
        office.say()
        office.say(key="agent:main:other")

        def keys(**params: Any) -> list[str]:
            return [one["key"] for one in office.call("sessions.usage", params)["sessions"]]

        assert keys(key="other") == ["agent:main:other"]
        assert keys(limit=1) == ["agent:main:other"]
        assert keys(agentId="beta") == []
        assert keys(startDate="2020-01-01", endDate="2020-01-31") == []

    def test_run_by_run(self, office: Office):
        office.say()
        office.say()
        answer = office.call("sessions.usage.timeseries", {"key": "main"})
        first, second = answer["points"]
        assert (first["totalTokens"], first["cumulativeTokens"]) == (150, 150)
        assert (second["input"], second["output"], second["cumulativeTokens"]) == (100, 50, 300)
        assert second["cumulativeCost"] == pytest.approx(2 * PRICE)
        assert first["timestamp"] <= second["timestamp"]
        message = office.refusal("sessions.usage.timeseries", {"key": "nobody"})
        assert message == "No transcript found for session: agent:main:nobody"

    def test_message_by_message(self, office: Office):
        office.say("hi")
        question, answer = office.call("sessions.usage.logs", {"key": "main"})["logs"]
        assert (question["role"], question["content"], "tokens" in question) == ("user", "hi", False)
        assert (answer["role"], answer["content"], answer["tokens"]) == ("assistant", "Hello.", 150)
        assert answer["cost"] == pytest.approx(PRICE)
        assert office.call("sessions.usage.logs", {"key": "nobody"}) == {"logs": []}


class TestDates:
    def span(self, **params: Any):
        return load_span(Params("usage.cost", params))

    def test_the_last_days(self):
        span = self.span()
        assert (span.days, span.end, span.offset) == (30, today(), 0)
        assert span.last - span.first == 30 * DAY - 1
        assert span.first % DAY == 0
        assert (self.span(days=1).days, self.span(range="7d").days, self.span(range="?").days) == (1, 7, 30)

    def test_from_one_day_to_another(self):
        span = self.span(startDate="2026-01-30", endDate="2026-02-02")
        assert (span.start, span.end, span.days) == ("2026-01-30", "2026-02-02", 4)
        assert datetime.fromtimestamp(span.first / 1000, UTC).isoformat() == "2026-01-30T00:00:00+00:00"
        assert self.span(endDate="2026-02-02").days == 30
        assert self.span(startDate=today()).days == 1

    @pytest.mark.parametrize(
        ("zone", "hours"),
        [
            ({"utcOffset": "UTC+2"}, 2),
            ({"utcOffset": "UTC-4:30"}, -4.5),
            ({"timeZone": "Asia/Kolkata"}, 5.5),
            ({"timeZone": "No/Where", "utcOffset": "UTC+1"}, 1),
            ({}, 0),
        ],
    )
    def test_where_the_caller_lives(self, zone: dict[str, str], hours: float):
        span = self.span(mode="specific", startDate="2026-02-02", endDate="2026-02-02", **zone)
        assert span.offset == hours * 3_600_000
        assert datetime.fromtimestamp(span.first / 1000 + hours * 3600, UTC).hour == 0
        assert span.name(span.from_day) == "2026-02-02"

    def test_where_the_gateway_lives(self):
        assert self.span(mode="gateway").offset == time.localtime().tm_gmtoff * 1000

    @pytest.mark.parametrize(
        "wrong",
        [
            {"startDate": "yesterday"},
            {"endDate": "2026-13-01"},
            {"startDate": "2026-02-02", "endDate": "2026-02-01"},
            {"startDate": "1000-01-01", "endDate": "2026-02-01"},
            {"days": 0},
            {"mode": "specific", "utcOffset": "Mars"},
        ],
    )
    def test_what_is_no_date(self, wrong: dict[str, Any]):
        with pytest.raises(InvalidRequest, match=r"invalid usage\.cost params: at /"):
            self.span(**wrong)
