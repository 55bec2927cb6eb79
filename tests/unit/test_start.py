"""How many workers may start with which settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.config.settings import Settings
from app.errors import ConfigError
from app.start import check_workers, worker_count

SQLITE = "sqlite:////var/lib/x.sqlite"
POSTGRES = "postgresql+psycopg://u:canary@h/x"
REDIS = "redis://:canary@h"


def settings(storage_url: str, redis_url: str | None) -> Settings:
    return Settings(state_dir=Path("/nowhere"), storage_url=storage_url, redis_url=redis_url)


@pytest.mark.parametrize("storage_url", [SQLITE, POSTGRES])
@pytest.mark.parametrize("redis_url", [None, REDIS])
def test_one_worker_needs_neither(storage_url: str, redis_url: str | None) -> None:
    check_workers(1, settings(storage_url, redis_url))


def test_several_workers_need_both() -> None:
    check_workers(8, settings(POSTGRES, REDIS))


@pytest.mark.parametrize(
    ("storage_url", "redis_url", "missing"),
    [
        (SQLITE, None, ("DATABASE_URL", "REDIS_URL")),
        (SQLITE, REDIS, ("DATABASE_URL",)),
        (POSTGRES, None, ("REDIS_URL",)),
    ],
)
def test_what_is_missing_is_named(storage_url: str, redis_url: str | None, missing: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError) as refused:
        check_workers(2, settings(storage_url, redis_url))
    said = refused.value.message.partition("Missing:")[2]
    assert tuple(name for name in ("DATABASE_URL", "REDIS_URL") if name in said) == missing
    assert "WEB_CONCURRENCY=1" in said
    assert said.count("heroku addons:create") == len(missing)
    assert "canary" not in refused.value.message


@pytest.mark.parametrize(("written", "count"), [(None, 1), ("1", 1), ("12", 12), (" 2", 2)])
def test_the_environment_says_how_many(written: str | None, count: int) -> None:
    assert worker_count({} if written is None else {"WEB_CONCURRENCY": written}) == count


@pytest.mark.parametrize("written", ["", "0", "-1", "two", "1.5"])
def test_what_is_no_count_is_refused(written: str) -> None:
    with pytest.raises(ConfigError, match="Unset it for one worker"):
        worker_count({"WEB_CONCURRENCY": written})
