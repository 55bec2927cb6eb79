"""One request must not take many more calls and bytecode instructions than now: time varies, they do not.

When a test fails, `python -m tests.support.hot_path "plain"` lists what is called how often. When the growth
is worth it, or after a change that saves some, write the new numbers here.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.support.gateway import ROOT, clean_environment

RECORDED = {
    "plain": {"calls": 1078, "instructions": 12850},
    "burst stream": {"calls": 1667, "instructions": 19800},
    "400 messages": {"calls": 1084, "instructions": 12934},
    "plain, user": {"calls": 1533, "instructions": 23330},
}
GROWTH = 1.15
# Another Python compiles the same code to other instructions.
COUNTED = ("calls", "instructions") if sys.version_info[:2] == (3, 11) else ("calls",)

Counts = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def counts() -> Counts:
    ran = subprocess.run(
        [sys.executable, "-m", "tests.support.hot_path"],
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    return dict(map(json.loads, ran.stdout.splitlines()))


@pytest.mark.parametrize("what", COUNTED)
@pytest.mark.parametrize("load", RECORDED)
def test_a_request_takes_no_more_than_it_used_to(counts: Counts, load: str, what: str):
    assert counts[load][what] <= RECORDED[load][what] * GROWTH


@pytest.mark.parametrize("what", COUNTED)
@pytest.mark.parametrize("load", RECORDED)
def test_the_record_is_not_out_of_date(counts: Counts, load: str, what: str):
    """A number far above what is true would let much growth pass."""
    assert counts[load][what] >= RECORDED[load][what] / GROWTH


@pytest.mark.parametrize("load", RECORDED)
def test_a_request_leaves_nothing_to_the_garbage_collector(counts: Counts, load: str):
    """Its messages and its answer may have many megabytes, and collections do not come by bytes."""
    assert counts[load]["garbage"] == []
