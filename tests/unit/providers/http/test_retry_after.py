from __future__ import annotations

import time
from email.utils import formatdate

import pytest

from app.providers.http.retry_after import MAX_SECONDS, retry_after_seconds

NOW = "Fri, 27 Nov 2026 10:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "5"}, 5.0),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "1"}, 1.0),
        ({"retry-after": "Fri, 27 Nov 2026 10:00:30 GMT", "date": NOW}, 30.0),
        ({"retry-after": "Fri, 27 Nov 2026 10:00:00 GMT", "date": NOW}, None),
        ({"retry-after": "Fri, 31 Dec 1999 23:59:59 GMT"}, None),
        ({"retry-after": "Fri, 99 Foo 1999 23:59:59 GMT"}, None),
        ({"retry-after": "1e300"}, MAX_SECONDS),
        ({"retry-after-ms": "inf"}, None),
    ],
)
def test_seconds_milliseconds_and_dates(headers: dict[str, str], seconds: float | None):
    assert retry_after_seconds(headers.get) == seconds


def test_a_date_is_compared_with_our_clock_if_the_answer_has_no_date():
    found = retry_after_seconds({"retry-after": formatdate(time.time() + 3600, usegmt=True)}.get)
    assert found is not None
    assert 3500 < found <= 3600
