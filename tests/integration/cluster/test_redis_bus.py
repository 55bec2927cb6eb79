"""The events of a run on one worker, followed on another one, over a real Redis."""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from app.cluster import reader
from app.cluster.redis_bus import RedisBus
from app.errors import ClusterUnavailable
from app.events.log import EventLog
from app.events.types import Event, RunFailed, RunFinished, RunStarted, TextDelta, ToolReturned
from app.messages import Usage
from tests.support.provider import wait_until
from tests.support.redis_workers import RedisWorker, redis_workers
from tests.support.servers import RedisServer

END = RunFinished("stop", Usage())


def new_run(bus: RedisBus, fence: int = 1) -> tuple[str, EventLog]:
    run_id, log = uuid.uuid4().hex, EventLog()
    log.append(RunStarted(run_id, "main", "agent:main:x", 1.0))
    bus.publish(run_id, log, fence)
    return run_id, log


def text(log: EventLog, count: int, pause: float = 0.0) -> None:
    for _ in range(count):
        log.append(TextDelta(f"{log.length} "))
        if pause:
            time.sleep(pause)


def end(bus: RedisBus, run_id: str, log: EventLog) -> None:
    log.append(END)
    bus.close(run_id)


def found(bus: RedisBus, run_id: str) -> EventLog:
    """The log of a run, on a worker that may have to wait until it hears of it."""
    wait_until(lambda: bus.log(run_id) is not None, 60, "the run")
    log = bus.log(run_id)
    assert log is not None
    return log


class Follower(threading.Thread):
    """Reads a run's events from a position to the end."""

    def __init__(self, log: EventLog, position: int = 0) -> None:
        super().__init__(daemon=True)
        self.log, self.position = log, position
        self.events: list[Event] = []
        self.start()

    def run(self) -> None:
        for batch in self.log.follow(self.position):
            self.events += batch

    def all(self) -> Sequence[Event]:
        self.join(90)
        assert not self.is_alive(), f"no end after {len(self.events)} events"
        return self.events


def test_a_run_is_followed_on_another_worker_from_any_position(redis_server: RedisServer) -> None:
    with redis_workers(redis_server.url(2)) as (here, there):
        run_id, log = new_run(here.bus)
        text(log, 10)
        followers = [Follower(found(there.bus, run_id), position) for position in (0, 3, 11, 500)]
        text(log, 1000, pause=0.0002)
        end(here.bus, run_id, log)
        for follower in followers:
            assert follower.all() == list(log)[follower.position :]
        assert list(log)[-1] == END


def test_followers_of_one_run_share_a_mirror_which_stops_when_they_leave(redis_server: RedisServer) -> None:
    with redis_workers(redis_server.url(2)) as (here, there):
        run_id, log = new_run(here.bus)
        mirror = found(there.bus, run_id)
        first, second = mirror.follow(wake_every=0.01), mirror.follow(wake_every=0.01)
        next(first), next(second)
        assert there.bus.log(run_id) is mirror
        there.wait_subscribed("events", run_id)
        first.close()  # type: ignore[attr-defined]
        assert there.gets("events", run_id)
        second.close()  # type: ignore[attr-defined]
        assert not there.gets("events", run_id)
        text(log, 5)
        end(here.bus, run_id, log)
        assert Follower(mirror).all() == list(log)  # who comes back gets what was missed


def test_an_unknown_run_is_none(redis_server: RedisServer) -> None:
    with redis_workers(redis_server.url(2)) as (_, there):
        assert there.bus.log("unknown") is None
        assert there.bus.history("unknown") is None


def test_the_events_of_an_ended_run_can_be_read_by_all(redis_server: RedisServer) -> None:
    with redis_workers(redis_server.url(2)) as (here, there):
        run_id, log = new_run(here.bus)
        assert there.bus.history(run_id) is None
        text(log, 3000)
        end(here.bus, run_id, log)
        assert here.bus.history(run_id) == list(log)
        wait_until(lambda: there.bus.history(run_id) is not None, 60, "the end")
        assert there.bus.history(run_id) == list(log)
        assert Follower(found(there.bus, run_id), 5).all() == list(log)[5:]
        wait_until(lambda: not here.bus.writer.sources, 60, "all to be written")
        left = redis_server.client().client_id() and here.link.ask("PTTL", here.link.name("run", run_id))
        assert 3_500_000 < left <= 3_600_000


def test_a_short_run_is_one_write(redis_server: RedisServer) -> None:
    with redis_workers(redis_server.url(2)) as (here, _):
        run_id, log = new_run(here.bus)
        text(log, 20)
        end(here.bus, run_id, log)
        wait_until(lambda: not here.bus.writer.sources, 60, "all to be written")
        assert here.link.ask("XLEN", here.link.name("run", run_id)) == 1


def test_listeners_hear_of_the_runs_of_others_if_they_want_to(redis_server: RedisServer) -> None:
    with redis_workers(redis_server.url(2)) as (here, there):
        heard: list[tuple[str, Any]] = []
        there.bus.subscribe(lambda run_id, log: heard.append((run_id, log)))
        there.bus.attend(True)
        there.wait_subscribed("runs")
        run_id, log = new_run(here.bus)
        wait_until(lambda: heard, 60, "announcement")
        assert heard[0][0] == run_id
        assert next(iter(heard[0][1])) == next(iter(log))
        assert [one for one, _ in there.bus.others()] == [run_id]
        assert not there.gets("events", run_id)  # nobody wants it
        text(log, 5)
        end(here.bus, run_id, log)
        wait_until(lambda: not there.bus.others(), 60, "end")
        assert Follower(heard[0][1]).all() == list(log)
        short_id, short = new_run(here.bus)
        end(here.bus, short_id, short)
        wait_until(lambda: len(heard) == 2, 60, "announcement")
        assert list(heard[1][1]) == list(short)  # a short run is there at once
        there.bus.attend(False)
        new_run(here.bus)
        other_id, _ = new_run(here.bus)
        found(there.bus, other_id)
        assert len(heard) == 2


def test_a_run_that_another_worker_takes_over_goes_on_in_the_same_stream(redis_server: RedisServer) -> None:
    with redis_workers(redis_server.url(2), count=3) as (first, second, third):
        run_id, log = new_run(first.bus)
        text(log, 100)
        follower = Follower(found(third.bus, run_id))
        wait_until(lambda: len(follower.events) == 101, 60, "the events so far")
        more = second.bus.take_over(run_id, 2)
        assert list(more) == list(log)
        text(log, 50)  # the first worker does not know yet
        wait_until(lambda: run_id not in first.bus.writer.sources, 60, "the first worker to give up")
        second.bus.publish(run_id, more, 2)
        text(more, 100)
        end(second.bus, run_id, more)
        assert follower.all() == list(more)
        assert first.bus.history(run_id) == list(more) or run_id in first.bus._local
        assert third.bus.history(run_id) == list(more)
        assert list(third.bus.take_over(run_id, 2)) == list(more)


def begun_again(log: EventLog, *texts: str) -> EventLog:
    """The log of a run that another worker begins again: what is settled of it, and no more."""
    again, started = EventLog(), next(iter(log))
    assert isinstance(started, RunStarted)
    again.append(msgspec.structs.replace(started, started_at=2.0))
    for one in texts:
        again.append(TextDelta(one))
    return again


def test_a_run_that_is_begun_again_goes_on_for_those_who_have_seen_nothing_yet(
    redis_server: RedisServer,
) -> None:
    with redis_workers(redis_server.url(2), count=3) as (first, second, third):
        run_id, log = new_run(first.bus)
        follower = Follower(found(third.bus, run_id))
        wait_until(lambda: follower.events, 60, "the beginning")
        again = begun_again(log)
        second.bus.publish(run_id, again, 2)
        text(again, 20)
        end(second.bus, run_id, again)
        assert follower.all()[1:] == list(again)[1:]
        wait_until(lambda: third.bus.history(run_id), 60, "the end")
        assert third.bus.history(run_id) == list(again)


def test_a_run_that_is_begun_again_ends_for_those_who_have_seen_more_and_can_be_followed_anew(
    redis_server: RedisServer,
) -> None:
    with redis_workers(redis_server.url(2), count=3) as (first, second, third):
        run_id, log = new_run(first.bus)
        text(log, 50)
        follower = Follower(found(third.bus, run_id))
        wait_until(lambda: len(follower.events) == 51, 60, "the events so far")
        again = begun_again(log, "a settled step")
        second.bus.publish(run_id, again, 2)
        text(log, 50)  # the first worker does not know yet
        last = follower.all()[-1]
        assert isinstance(last, RunFailed)
        assert last.code == "service_unavailable"
        text(again, 5)
        anew = Follower(found(third.bus, run_id))
        end(second.bus, run_id, again)
        assert anew.all() == list(again)
        text(log, 1)
        wait_until(lambda: run_id not in first.bus.writer.sources, 60, "the first worker to give up")
        assert third.bus.history(run_id) == list(again)


def test_a_run_whose_worker_is_dead_ends_for_its_followers(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "QUIET_SECONDS", 0.3)
    with redis_workers(redis_server.url(2)) as (here, there):
        run_id, log = new_run(here.bus)
        text(log, 5)
        follower = Follower(found(there.bus, run_id))
        wait_until(lambda: len(follower.events) == 6, 60, "the events so far")
        there.bus.reader.is_running = lambda _: True
        time.sleep(1.0)
        assert follower.is_alive()
        there.bus.reader.is_running = lambda _: None  # cannot be known
        time.sleep(1.0)
        assert follower.is_alive()
        there.bus.reader.is_running = lambda _: False
        last = follower.all()[-1]
        assert isinstance(last, RunFailed)
        assert last.code == "service_unavailable"


def test_a_stream_is_bounded(redis_server: RedisServer) -> None:
    with redis_workers(redis_server.url(2), max_stream_bytes=100_000) as (here, there):
        run_id, log = new_run(here.bus)
        early = Follower(found(there.bus, run_id))
        there.wait_subscribed("events", run_id)
        for _ in range(300):
            log.append(ToolReturned("c", "read", "x" * 3000))
            time.sleep(0.001)
        end(here.bus, run_id, log)
        assert early.all() == list(log)
        wait_until(lambda: not here.bus.writer.sources, 60, "all to be written")
        assert there.bus.history(run_id) is not None or there.bus._mirrors  # not from the beginning any more
        size = sum(
            len(entry[1][1]) for entry in here.link.ask("XRANGE", here.link.name("run", run_id), "-", "+")
        )
        assert size <= 1_300_000


def test_events_larger_than_a_write_are_split(redis_server: RedisServer) -> None:
    with redis_workers(redis_server.url(2), max_stream_bytes=100_000_000) as (here, there):
        run_id, log = new_run(here.bus)
        for _ in range(40):
            log.append(ToolReturned("c", "read", "x" * 200_000))
        end(here.bus, run_id, log)
        assert Follower(found(there.bus, run_id)).all() == list(log)


def test_redis_is_restarted_in_the_middle_of_streams() -> None:
    with RedisServer() as server, redis_workers(server.url()) as (here, there):
        runs = [new_run(here.bus) for _ in range(20)]
        followers = [Follower(found(there.bus, run_id)) for run_id, _ in runs]

        def write() -> None:
            for _ in range(150):
                for _, log in runs:
                    text(log, 1)
                time.sleep(0.02)
            for run_id, log in runs:
                end(here.bus, run_id, log)

        writer = threading.Thread(target=write)
        writer.start()
        time.sleep(0.7)
        server.stop()
        with pytest.raises(ClusterUnavailable):
            there.bus.log("some other")
        time.sleep(0.3)
        server.start()
        writer.join(60)
        for (run_id, log), follower in zip(runs, followers, strict=True):
            assert follower.all() == list(log)
            wait_until(lambda run_id=run_id: there.bus.history(run_id), 60, "all to be written")
            assert there.bus.history(run_id) == list(log)


def test_a_run_that_ends_while_redis_is_away_can_be_read_later() -> None:
    with RedisServer() as server, redis_workers(server.url()) as (here, there):
        run_id, log = new_run(here.bus)
        text(log, 5)
        follower = Follower(found(there.bus, run_id))
        wait_until(lambda: len(follower.events) == 6, 60, "the events so far")
        server.stop()
        text(log, 500)
        end(here.bus, run_id, log)
        assert here.bus.history(run_id) == list(log)
        server.start()
        assert follower.all() == list(log)


def test_nothing_is_lost_while_redis_is_full() -> None:
    with RedisServer() as server, redis_workers(server.url()) as (here, there):
        run_id, log = new_run(here.bus)
        text(log, 5)
        follower = Follower(found(there.bus, run_id))
        wait_until(lambda: len(follower.events) == 6, 60, "the events so far")
        server.client().config_set("maxmemory", "1kb")
        text(log, 200)
        end(here.bus, run_id, log)
        wait_until(lambda: here.bus.writer.sources[run_id].was_refused, 60, "the refusal")
        server.client().config_set("maxmemory", "0")
        assert follower.all() == list(log)


def test_streams_that_are_thrown_away_are_written_again(redis_server: RedisServer) -> None:
    with redis_workers(redis_server.url(3)) as (here, there):
        run_id, log = new_run(here.bus)
        text(log, 100)
        found(there.bus, run_id)
        here.link.ask("FLUSHDB")
        text(log, 100)
        assert Follower(found(there.bus, run_id)).position == 0
        end(here.bus, run_id, log)
        wait_until(lambda: there.bus.history(run_id), 60, "the end")
        assert there.bus.history(run_id) == list(log)


def test_a_subscription_that_is_cut_loses_nothing(redis_server: RedisServer) -> None:
    with redis_workers(redis_server.url(2)) as (here, there):
        run_id, log = new_run(here.bus)
        follower = Follower(found(there.bus, run_id))
        for _ in range(5):
            text(log, 100, pause=0.002)
            redis_server.client().execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        end(here.bus, run_id, log)
        assert follower.all() == list(log)


@pytest.mark.slow
def test_three_hundred_runs_at_once(redis_server: RedisServer) -> None:
    with redis_workers(redis_server.url(2)) as (here, there):
        runs = [new_run(here.bus) for _ in range(300)]
        followers = [Follower(found(there.bus, run_id)) for run_id, _ in runs]
        for _ in range(30):
            for _, log in runs:
                text(log, random.randrange(10))
        for run_id, log in runs:
            end(here.bus, run_id, log)
        for (_, log), follower in zip(runs, followers, strict=True):
            assert follower.all() == list(log)


class Cluster:
    """Two workers that have a run by turns, and one that follows it."""

    def __init__(self, workers: Sequence[RedisWorker], server: RedisServer) -> None:
        self.writer, self.other, self.there = workers
        self.server = server
        self.fence = 1
        self.run_id, self.log = new_run(self.writer.bus)
        self.followers: list[Follower] = []
        found(self.there.bus, self.run_id)

    def many(self, count: int) -> None:
        text(self.log, count)

    def follow(self, position: int) -> None:
        self.followers.append(Follower(found(self.there.bus, self.run_id), position % (self.log.length + 3)))

    def wait(self, milliseconds: int) -> None:
        time.sleep(milliseconds / 10_000)

    def cut(self, _: int) -> None:
        self.server.client().execute_command("CLIENT", "KILL", "TYPE", "pubsub")

    def kill(self, _: int) -> None:
        self.server.client().execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    def flush(self, _: int) -> None:
        """What is thrown away comes again with the next event."""
        self.writer.link.ask("DEL", self.writer.link.name("run", self.run_id))
        text(self.log, 1)

    def take_over(self, _: int) -> None:
        wait_until(self.is_written, 60, "writing")
        self.fence += 1
        self.log = self.other.bus.take_over(self.run_id, self.fence)
        self.writer, self.other = self.other, self.writer
        self.writer.bus.publish(self.run_id, self.log, self.fence)

    def is_written(self) -> bool:
        return self.writer.bus.writer.sources[self.run_id].written == self.log.length


STEPS = st.sampled_from(["many", "many", "follow", "wait", "cut", "kill", "flush", "take_over"])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(STEPS, st.integers(0, 700)), max_size=25))
@example([("cut", 0), ("many", 45), ("follow", 194), ("flush", 0), ("cut", 0), ("many", 168)])
def test_any_follower_gets_exactly_what_follows_its_position(
    redis_server: RedisServer, steps: list[tuple[str, int]]
) -> None:
    """Whoever comes whenever, whatever is cut, thrown away or taken over meanwhile."""
    with redis_workers(redis_server.url(4), count=3) as workers:
        cluster = Cluster(workers, redis_server)
        for step, number in steps:
            getattr(cluster, step)(number)
        end(cluster.writer.bus, cluster.run_id, cluster.log)
        for follower in cluster.followers:
            assert follower.all() == list(cluster.log)[follower.position :]
