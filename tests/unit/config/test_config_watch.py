from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

import pytest

from app.config.settings import Settings
from app.config.watch import ConfigWatch

if TYPE_CHECKING:
    from tests.unit.config.conftest import Operator


class Watched:
    """A watch over the operator's files that counts how often they are read."""

    def __init__(self, operator: Operator, **environ: str) -> None:
        self.loads = 0
        self.notified: list[Settings] = []

        def load() -> Settings:
            self.loads += 1
            return operator.load(**environ)

        self.watch = ConfigWatch(load, load(), self.notified.append, interval=0.01)
        self.loads = 0

    @property
    def cap(self) -> int:
        return self.watch.settings.session.queue_cap


def cap(number: int) -> str:
    return f"{{session: {{queue: {{cap: {number}}}}}}}"


def test_an_untouched_file_is_never_read_again(operator: Operator):
    operator.write(cap(1))
    watched = Watched(operator)
    assert [watched.watch.check() for _ in range(3)] == [False, False, False]
    assert watched.loads == 0


def test_a_changed_file_is_loaded_and_listeners_are_called(operator: Operator):
    operator.write(cap(1))
    watched = Watched(operator)
    operator.write(cap(22))
    assert watched.watch.check()
    assert watched.cap == 22
    assert watched.notified == [watched.watch.settings]
    assert not watched.watch.check()
    assert watched.loads == 1


def test_a_change_of_comments_only_calls_no_listener(operator: Operator):
    operator.write(cap(1))
    watched = Watched(operator)
    operator.write("// another comment\n" + cap(1))
    assert not watched.watch.check()
    assert (watched.loads, watched.notified) == (1, [])


@pytest.mark.parametrize("broken", ["{", "{session: {queue: {cap: 'x'}}}", "{nonsense: 1}", "[]", ""])
def test_a_broken_file_keeps_the_last_valid_settings(
    operator: Operator, broken: str, caplog: pytest.LogCaptureFixture
):
    operator.write(cap(1))
    watched = Watched(operator)
    operator.write(broken)
    assert not watched.watch.check()
    assert watched.cap == 1
    assert watched.watch.stale is not None
    assert watched.watch.stale.startswith(str(operator.file))
    operator.write(cap(333))
    assert watched.watch.check()
    assert (watched.watch.stale, watched.cap) == (None, 333)


def test_the_same_mistake_is_logged_once_and_another_again(
    operator: Operator, caplog: pytest.LogCaptureFixture
):
    operator.write(cap(1))
    watched = Watched(operator)
    for text in ("{nonsense: 1}", "{nonsense: 22}", "{nonsense: 333}", "{other: 4444}"):
        operator.write(text)
        watched.watch.check()
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 2
    assert all(record.name == "app.config" for record in errors)


def test_a_corrected_file_that_means_the_same_is_no_longer_stale(operator: Operator):
    operator.write(cap(1))
    watched = Watched(operator)
    operator.write("{")
    watched.watch.check()
    operator.write(cap(1))
    watched.watch.check()
    assert watched.watch.stale is None
    assert watched.notified == []


def test_included_files_and_dotenv_are_watched_too(operator: Operator):
    operator.write("{queue: {cap: '${CAP}'}}", "session.json5")
    operator.write("CAP=1", ".env")
    operator.write("{session: {$include: 'session.json5'}}")
    watched = Watched(operator)
    operator.write("CAP=22", ".env")
    assert watched.watch.check()
    operator.write("{queue: {cap: 333}}", "session.json5")
    assert watched.watch.check()
    assert watched.cap == 333


def test_a_missing_include_is_loaded_when_it_appears(operator: Operator):
    operator.write(cap(1))
    watched = Watched(operator)
    operator.write("{$include: 'late.json5'}")
    watched.watch.check()
    assert watched.watch.stale is not None
    operator.write(cap(22), "late.json5")
    assert watched.watch.check()
    assert watched.cap == 22


def test_a_file_that_does_not_exist_yet_is_watched(operator: Operator):
    watched = Watched(operator)
    operator.write(cap(5))
    assert watched.watch.check()
    assert watched.cap == 5


@pytest.mark.parametrize("named", [True, False])
def test_a_removed_file_changes_nothing(operator: Operator, named: bool):
    operator.write(cap(1))
    watched = Watched(operator, **({"OPENCLAW_CONFIG_PATH": str(operator.file)} if named else {}))
    operator.file.unlink()
    assert not watched.watch.check()
    assert watched.cap == 1
    assert watched.watch.stale is not None
    operator.write(cap(2))
    assert watched.watch.check()
    assert watched.watch.stale is None


def test_what_needs_a_restart_is_named_and_stays(operator: Operator, caplog: pytest.LogCaptureFixture):
    operator.write("{}")
    watched = Watched(operator)
    before = watched.watch.settings
    operator.write(
        """{gateway: {port: 1, bind: 'lan', metrics: {public: true}}, storage: {url: 'sqlite:////x'},
            redis: {url: 'redis://x'}}"""
    )
    assert watched.watch.check()
    after = watched.watch.settings
    assert after.gateway.metrics_public
    assert (after.gateway.port, after.gateway.host, after.gateway.bind) == (18789, "127.0.0.1", "loopback")
    assert (after.storage_url, after.redis_url) == (before.storage_url, None)
    [warning] = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert warning.fields == {"keys": "gateway.port, gateway.bind, storage.url, redis.url"}


def test_no_secret_gets_into_the_log(operator: Operator, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    operator.write("{}")
    watched = Watched(operator)
    for text in (
        "{gateway: {auth: {token: 'canary'}}}",
        "{gateway: {auth: {token: 'canary', mode: 'canary'}}}",
    ):
        operator.write(text)
        watched.watch.check()
    assert watched.watch.settings.gateway.auth.token == "canary"
    logged = [(record.getMessage(), record.fields) for record in caplog.records]
    assert len(logged) == 2
    assert "canary" not in str(logged)


def test_a_listener_that_fails_does_not_end_the_watch(operator: Operator):
    operator.write(cap(1))

    def fail(_: Settings) -> None:
        raise RuntimeError("listener")

    watch = ConfigWatch(operator.load, operator.load(), fail, interval=0.005)
    stop = threading.Event()
    thread = threading.Thread(target=watch.run, args=(stop,))
    thread.start()
    try:
        for number in (22, 333):
            operator.write(cap(number))
            deadline = time.monotonic() + 30
            while watch.settings.session.queue_cap != number and time.monotonic() < deadline:
                time.sleep(0.005)
            assert watch.settings.session.queue_cap == number
    finally:
        stop.set()
        thread.join(30)
    assert not thread.is_alive()
