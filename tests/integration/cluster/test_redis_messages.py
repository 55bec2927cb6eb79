"""Messages between workers over a real Redis, which is stopped, paused, full, and locked meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Queue
from typing import Any

import pytest

from app.cluster.link import RedisLink
from app.cluster.redis_pubsub import RedisPubSub
from app.cluster.subscriber import Subscriber
from app.errors import ClusterUnavailable
from tests.support.provider import wait_until
from tests.support.servers import RedisServer

pytestmark = pytest.mark.timeout(120)


class Worker:
    """The parts of one worker, working."""

    def __init__(self, url: str) -> None:
        self.link = RedisLink(url)
        self.subscriber = Subscriber(self.link)
        self.pubsub = RedisPubSub(self.link, self.subscriber)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self.subscriber.run, args=(self._stop,), daemon=True)

    def start(self) -> Worker:
        self._thread.start()
        return self

    def gets(self, topic: str) -> bool:
        return self.subscriber.gets(self.link.name("topic", topic))

    def stop(self) -> None:
        self._stop.set()
        self.subscriber.close()
        self.link.close()
        self._thread.join(20)
        assert not self._thread.is_alive()


@contextmanager
def two_workers(url: str) -> Iterator[tuple[Worker, Worker, Queue[Any]]]:
    """Two of them, and what the second one gets on `lanes`."""
    first, second = Worker(url), Worker(url)
    got: Queue[Any] = Queue()
    first.pubsub.subscribe("lanes", lambda message: got.put({"itself": message}))
    second.pubsub.subscribe("lanes", got.put)
    first.start(), second.start()
    try:
        wait_until(lambda: first.gets("lanes") and second.gets("lanes"), 30, "the subscriptions")
        yield first, second, got
    finally:
        first.stop(), second.stop()


def test_a_message_reaches_the_others_and_not_its_sender(redis_server: RedisServer) -> None:
    with two_workers(redis_server.url(1)) as (first, _, got):
        assert first.pubsub.publish("lanes", {"session": "agent:main:é", "number": 7}) == 1
        assert got.get(timeout=30) == {"session": "agent:main:é", "number": 7}
        assert first.pubsub.publish("config", {}) == 0
        assert got.empty()


def test_a_gateway_in_another_database_hears_nothing(redis_server: RedisServer) -> None:
    with two_workers(redis_server.url(1)) as (first, _, got):
        stranger, heard = Worker(redis_server.url(2)), Queue()
        stranger.pubsub.subscribe("lanes", heard.put)
        stranger.start()
        wait_until(lambda: stranger.gets("lanes"), 30, "the subscription")
        assert first.pubsub.publish("lanes", {"n": 1}) == 1
        assert stranger.pubsub.publish("lanes", {"n": 2}) == 0
        assert got.get(timeout=30) == {"n": 1}
        stranger.stop()
        assert heard.empty()


def test_a_handler_that_fails_does_not_stop_the_others(redis_server: RedisServer) -> None:
    with two_workers(redis_server.url(1)) as (first, second, got):
        second.pubsub.subscribe("abort", lambda message: message["missing"])
        second.pubsub.subscribe("abort", got.put)
        wait_until(lambda: second.gets("abort"), 30, "the subscription")
        redis_server.client().publish(first.link.name("topic", "abort"), b"no message \xff")
        redis_server.client().publish(first.link.name("topic", "abort"), b'{"sender": 5}')
        first.pubsub.publish("abort", {"run": "r"})
        assert got.get(timeout=30) == {"run": "r"}


def test_messages_come_in_order(redis_server: RedisServer) -> None:
    with two_workers(redis_server.url(1)) as (first, _, got):
        for number in range(2000):
            first.pubsub.publish("lanes", {"n": number, "text": "x" * (number % 70)})
        assert [got.get(timeout=30)["n"] for _ in range(2000)] == list(range(2000))


def test_workers_find_each_other_again_after_a_restart() -> None:
    with RedisServer() as server, two_workers(server.url()) as (first, second, got):
        server.stop()
        for _ in range(3):
            started = time.monotonic()
            with pytest.raises(ClusterUnavailable) as caught:
                first.pubsub.publish("lanes", {})
            assert caught.value.retry_after is not None
            assert time.monotonic() - started < 3
        wait_until(lambda: not second.gets("lanes"), 30, "the loss")
        server.start()
        wait_until(lambda: first.gets("lanes") and second.gets("lanes"), 60, "the subscriptions")
        first.pubsub.publish("lanes", {"n": 1})
        assert got.get(timeout=30) == {"n": 1}


def test_a_server_that_hangs_is_waited_for_once(redis_server: RedisServer) -> None:
    link = RedisLink(redis_server.url(1))
    assert link.ask("PING") == b"PONG"
    redis_server.client().execute_command("CLIENT", "PAUSE", "8000", "ALL")
    started = time.monotonic()
    for _ in range(10):
        with pytest.raises(ClusterUnavailable):
            link.ask("PING")
    assert time.monotonic() - started < 5
    wait_until(lambda: works(link), 60, "Redis")
    link.close()


def test_a_connection_that_was_cut_while_idle_costs_no_error(redis_server: RedisServer) -> None:
    link = RedisLink(redis_server.url(1))
    for _ in range(3):
        assert link.ask("PING") == b"PONG"
        redis_server.client().execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    link.close()


def test_a_wrong_password_says_so_and_costs_no_request_more_than_a_moment() -> None:
    with RedisServer(requirepass="right") as server:
        url = f"redis://:wrong@127.0.0.1:{server.port}/0"
        link = RedisLink(url)
        with pytest.raises(ClusterUnavailable) as caught:
            link.ask("PING")
        assert "wrong" not in caught.value.message
        right = RedisLink(f"redis://:right@127.0.0.1:{server.port}/3")
        assert right.ask("PING") == b"PONG"
        right.close()


def test_full_memory_refuses_writes_and_passes_messages() -> None:
    with RedisServer(maxmemory="100kb") as server, two_workers(server.url()) as (first, _, got):
        with pytest.raises(ClusterUnavailable, match="maxmemory"):
            first.link.ask("SET", "a", "b" * 100)
        assert not first.link.breaker.is_away
        first.pubsub.publish("lanes", {"n": 1})
        assert got.get(timeout=30) == {"n": 1}


def test_many_ask_at_a_time(redis_server: RedisServer) -> None:
    link = RedisLink(redis_server.url(1))
    failed: list[Exception] = []

    def count() -> None:
        try:
            for _ in range(50):
                assert link.ask_all([("INCR", "counter"), ("NOSUCH",), ("PING",)])[2] == b"PONG"
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=count) for _ in range(30)]
    [one.start() for one in threads]
    [one.join(60) for one in threads]
    assert not failed
    assert link.ask("GET", "counter") == b"1500"
    link.close()


def works(link: RedisLink) -> bool:
    try:
        return bool(link.ask("PING") == b"PONG")
    except ClusterUnavailable:
        return False
