"""The search in sequences of numbers, against the simplest way to do it."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from app.sessions.matching import last_end, overlap, shared_start

rows = st.lists(st.integers(0, 2), max_size=12)
requests = st.lists(st.integers(-1, 2), max_size=12)


@settings(deadline=None)  # a loaded machine is not a fault
@given(requests, rows)
def test_shared_start(request_row, stored_row):
    length = shared_start(stored_row, request_row)
    assert stored_row[:length] == request_row[:length]
    assert stored_row[length : length + 1] != request_row[length : length + 1] or length == len(stored_row)


@settings(deadline=None)
@given(requests, rows)
def test_overlap_is_the_longest(request_row, stored_row):
    fits = [
        length
        for length in range(min(len(request_row), len(stored_row)) + 1)
        if request_row[:length] == stored_row[len(stored_row) - length :]
    ]
    assert overlap(request_row, stored_row) == max(fits)


@settings(deadline=None)
@given(requests.filter(bool), rows)
def test_last_end_is_the_last(request_row, stored_row):
    size = len(request_row)
    ends = [end for end in range(size, len(stored_row) + 1) if stored_row[end - size : end] == request_row]
    assert last_end(request_row, stored_row) == (max(ends) if ends else None)
