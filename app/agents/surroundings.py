"""What an agent is told of the machine it runs on: the time zone, the date, the operating system."""

from __future__ import annotations

import os
import platform
from datetime import datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from app.config.agent_settings import AgentSettings

LOCALTIME = "/etc/localtime"
FOLDER = "/zoneinfo/"


def zone_of(agent: AgentSettings) -> ZoneInfo:
    """The agent's time zone, else the machine's."""
    return ZoneInfo(agent.user_timezone or machine_zone())


@cache
def machine_zone(localtime: str = LOCALTIME) -> str:
    """The IANA name of the machine's time zone, from $TZ or `localtime`; UTC if neither says one."""
    named = (os.environ.get("TZ") or "").removeprefix(":")
    linked = os.path.realpath(localtime).rpartition(FOLDER)[2]
    zones = available_timezones()
    return next((name for name in (named.rpartition(FOLDER)[2], linked) if name in zones), "UTC")


@cache
def operating_system() -> str:
    """Such as `Linux x86_64`."""
    return f"{platform.system()} {platform.machine()}".strip()


def end_of_day(now: datetime) -> float:
    """When the day of `now` ends in its time zone, in seconds since 1970."""
    return datetime.combine(now.date() + timedelta(days=1), datetime.min.time(), now.tzinfo).timestamp()
