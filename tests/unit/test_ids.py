"""Names the gateway makes up, and those it takes over."""

from __future__ import annotations

import re
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.ids import new_request_id, new_run_id, new_uuid, request_id_from

UUID4 = "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


def test_run_ids():
    assert re.fullmatch(f"chatcmpl_{UUID4}", new_run_id())
    assert len({new_run_id() for _ in range(100)}) == 100


def test_uuids_are_random_ones_as_the_standard_has_them():
    made = [uuid.UUID(new_uuid()) for _ in range(200)]
    assert {(one.version, one.variant) for one in made} == {(4, uuid.RFC_4122)}
    assert len(set(made)) == 200
    assert {str(one)[19] for one in made} == set("89ab")


def test_request_ids():
    assert re.fullmatch("req_[0-9a-f]{32}", new_request_id())
    assert len({new_request_id() for _ in range(100)}) == 100


@pytest.mark.parametrize("sane", ["a", "req_1", "A-b.c:d/e+f=g@h", "x" * 128])
def test_a_sane_request_id_is_taken_over(sane: str):
    assert request_id_from(sane) == sane


@pytest.mark.parametrize(
    "odd",
    [None, "", " ", "a b", "a\nb", "a\n", "a\r\nX-Evil: 1", "x" * 129, "ä", "a;b", '"a"', "\x00", "\u0661"],
)
def test_any_other_is_replaced(odd: str | None):
    assert re.fullmatch("req_[0-9a-f]{32}", request_id_from(odd))


@given(st.text())
def test_whatever_comes_the_id_is_harmless_in_a_header_and_a_line(text: str):
    name = request_id_from(text)
    assert name.isascii()
    assert name.isprintable()
    assert " " not in name
