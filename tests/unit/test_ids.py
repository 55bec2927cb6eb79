"""Generated ids, and ids that callers choose."""

from __future__ import annotations

import re
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.ids import new_request_id, new_run_id, new_uuid, request_id_from

UUID4 = "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


def test_run_ids():
    assert re.fullmatch(f"run_{UUID4}", new_run_id())
    assert re.fullmatch(f"chatcmpl_{UUID4}", new_run_id("chatcmpl_"))
    assert len({new_run_id() for _ in range(100)}) == 100


def test_uuids_are_of_version_4():
    made = [uuid.UUID(new_uuid()) for _ in range(200)]
    assert {(one.version, one.variant) for one in made} == {(4, uuid.RFC_4122)}
    assert len(set(made)) == 200
    assert {str(one)[19] for one in made} == set("89ab")


def test_request_ids():
    assert re.fullmatch("req_[0-9a-f]{32}", new_request_id())
    assert len({new_request_id() for _ in range(100)}) == 100


@pytest.mark.parametrize("safe", ["a", "req_1", "A-b.c:d/e+f=g@h", "x" * 128])
def test_a_safe_request_id_is_kept(safe: str):
    assert request_id_from(safe) == safe


@pytest.mark.parametrize(
    "unsafe",
    [None, "", " ", "a b", "a\nb", "a\n", "a\r\nX-Evil: 1", "x" * 129, "ä", "a;b", '"a"', "\x00", "\u0661"],
)
def test_any_other_is_replaced(unsafe: str | None):
    assert re.fullmatch("req_[0-9a-f]{32}", request_id_from(unsafe))


@given(st.text())
def test_any_request_id_is_safe_in_a_header_and_a_log_line(text: str):
    name = request_id_from(text)
    assert name.isascii()
    assert name.isprintable()
    assert " " not in name
