"""Connections that are not authenticated yet: the oldest makes room."""

from __future__ import annotations

from app.ws.unauthenticated import (
    MAX_UNAUTHENTICATED,
    MAX_UNAUTHENTICATED_EACH,
    Unauthenticated,
    UnauthenticatedConnections,
)


def dropped(connections: list[Unauthenticated]) -> list[int]:
    return [number for number, one in enumerate(connections) if one.is_dropped]


def test_the_oldest_of_an_address_makes_room():
    every = UnauthenticatedConnections()
    other = every.admit("192.0.2.2")
    admitted = [every.admit("192.0.2.1") for _ in range(MAX_UNAUTHENTICATED_EACH + 2)]
    assert dropped(admitted) == [0, 1]
    assert not other.is_dropped
    assert len(every) == MAX_UNAUTHENTICATED_EACH + 1


def test_the_oldest_of_all_makes_room():
    every = UnauthenticatedConnections()
    admitted = [every.admit(f"192.0.2.{number}") for number in range(MAX_UNAUTHENTICATED + 3)]
    assert dropped(admitted) == [0, 1, 2]
    assert len(every) == MAX_UNAUTHENTICATED


def test_a_network_of_ipv6_is_one_client():
    every = UnauthenticatedConnections()
    other = every.admit("2001:db8:0:2::1")
    admitted = [every.admit(f"2001:db8:0:1::{number:x}") for number in range(MAX_UNAUTHENTICATED_EACH + 1)]
    assert dropped(admitted) == [0]
    assert not other.is_dropped


def test_who_has_authenticated_or_left_takes_no_place():
    every = UnauthenticatedConnections()
    first = every.admit("192.0.2.1")
    every.forget(first)
    every.forget(first)
    admitted = [every.admit("192.0.2.1") for _ in range(MAX_UNAUTHENTICATED_EACH)]
    assert not first.is_dropped
    assert dropped(admitted) == []


def test_dropping_closes():
    every, closed = UnauthenticatedConnections(), []
    first = every.admit("192.0.2.1")
    first.on_drop = lambda: closed.append(first)
    for _ in range(MAX_UNAUTHENTICATED_EACH):
        every.admit("192.0.2.1")
    assert closed == [first]
