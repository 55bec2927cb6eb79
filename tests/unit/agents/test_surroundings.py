"""The date and the time zone that agents are told."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from app.agents.surroundings import end_of_day, machine_zone, operating_system, zone_of
from app.config.agent_settings import AgentSettings


def test_the_agents_time_zone_wins():
    assert zone_of(AgentSettings("main", user_timezone="Asia/Tokyo")).key == "Asia/Tokyo"
    assert zone_of(AgentSettings("main")).key == machine_zone()


@pytest.mark.parametrize(
    ("variable", "zone"),
    [
        ("Europe/Berlin", "Europe/Berlin"),
        (":Europe/Berlin", "Europe/Berlin"),
        (":/usr/share/zoneinfo/Asia/Tokyo", "Asia/Tokyo"),
        ("CET-1CEST", "UTC"),
        ("", "UTC"),
    ],
)
def test_the_machines_time_zone(monkeypatch: pytest.MonkeyPatch, variable: str, zone: str):
    monkeypatch.setenv("TZ", variable)
    assert machine_zone.__wrapped__("/no/such/file") == zone


def test_a_day_ends_where_the_agent_is():
    now = datetime(2026, 11, 27, 23, 30, tzinfo=UTC)
    assert end_of_day(now) == datetime(2026, 11, 28, tzinfo=UTC).timestamp()
    tokyo = now.astimezone(ZoneInfo("Asia/Tokyo"))
    assert end_of_day(tokyo) == datetime(2026, 11, 28, 15, tzinfo=UTC).timestamp()


def test_the_operating_system_has_a_name():
    assert operating_system()
