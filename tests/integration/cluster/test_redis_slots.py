"""Slots that a real Redis counts."""

from __future__ import annotations

import threading
import uuid

from app.cluster import slots as module
from app.cluster.link import RedisLink
from app.cluster.slots import RedisSlots
from tests.support.provider import wait_until
from tests.support.servers import RedisServer


def test_slots_are_counted_given_back_and_run_out(redis_server: RedisServer, monkeypatch) -> None:
    link, name = RedisLink(redis_server.url(3)), uuid.uuid4().hex
    here, there = RedisSlots(link), RedisSlots(link)
    assert here.take(name, 2, "a")
    assert there.take(name, 2, "b")
    assert not there.take(name, 2, "c")
    assert here.take(name, 3, "c")  # the limit was raised
    here.give_back(name, "a")
    here.give_back(name, "a")
    assert not there.take(name, 2, "d")
    here.give_back(name, "c")
    assert there.take(name, 2, "d")
    assert 0 < redis_server.client(3).pttl(f"openclaw:3:slots:{name}") <= module.HELD_SECONDS * 1000
    monkeypatch.setattr(module, "HELD_SECONDS", 0.2)
    lost = uuid.uuid4().hex
    assert here.take(lost, 1, "a")  # and its worker dies
    wait_until(lambda: there.take(lost, 1, "b"), 30, "the slot of a dead worker")
    link.close()


def test_what_is_held_is_renewed(redis_server: RedisServer, monkeypatch) -> None:
    monkeypatch.setattr(module, "HELD_SECONDS", 3.0)
    monkeypatch.setattr(module, "RENEW_SECONDS", 0.05)
    link, name = RedisLink(redis_server.url(3)), uuid.uuid4().hex
    slots, stop = RedisSlots(link), threading.Event()
    assert slots.take(name, 1, "a")
    key, client = f"openclaw:3:slots:{name}", redis_server.client(3)
    before = client.zscore(key, "a")
    thread = threading.Thread(target=slots.run, args=(stop,))
    thread.start()
    wait_until(lambda: client.zscore(key, "a") > before, 30, "a renewal")
    stop.set()
    thread.join(30)
    link.close()
