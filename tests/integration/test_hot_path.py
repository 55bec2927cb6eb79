"""One request must not make many more function calls than it does now: time varies, calls do not.

When a test fails, `python -m tests.support.hot_path "plain"` lists what is called how often. When the growth
is worth it, or after a change that saves calls, write the new number here.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.support.gateway import ROOT, clean_environment

RECORDED = {"plain": 1027, "burst stream": 1659, "400 messages": 1027, "plain, user": 1717}
GROWTH = 1.15


@pytest.fixture(scope="module")
def calls() -> dict[str, int]:
    ran = subprocess.run(
        [sys.executable, "-m", "tests.support.hot_path"],
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    counted: dict[str, int] = json.loads(ran.stdout)
    return counted


@pytest.mark.parametrize("load", RECORDED)
def test_a_request_makes_no_more_calls_than_it_used_to(calls: dict[str, int], load: str):
    assert calls[load] <= RECORDED[load] * GROWTH


@pytest.mark.parametrize("load", RECORDED)
def test_the_record_is_not_out_of_date(calls: dict[str, int], load: str):
    """A number far above what is true would let much growth pass."""
    assert calls[load] >= RECORDED[load] / GROWTH
