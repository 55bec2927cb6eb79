"""Sums of what runs have used."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from app.config.loader import load_settings
from app.config.settings import ModelSettings, ProviderSettings
from app.control.usage import Prices, Totals, Usage
from app.sessions.rows import MessageCount, UsageRow

ROW = UsageRow(
    key="agent:main:a",
    session_id="1",
    agent_id="main",
    label=None,
    model="corp/big",
    day=20_000,
    runs=2,
    failed=1,
    prompt_tokens=1000,
    completion_tokens=100,
    first_at=1,
    last_at=5,
)
OTHER = replace(ROW, key="agent:main:b", model="play/free", day=19_999, runs=1, failed=0, last_at=9)
UNKNOWN = replace(ROW, key="agent:main:c", model="gone/model", last_at=9)


@pytest.fixture
def prices(tmp_path: Path) -> Prices:
    priced = ModelSettings("big", cost={"input": 2.0, "output": 4.0})
    providers = {
        "corp": ProviderSettings("corp", models=(priced, ModelSettings("unpriced"))),
        "play": ProviderSettings("play", api="scripted"),
    }
    return Prices(replace(load_settings({"HOME": str(tmp_path)}, tmp_path), providers=providers))


def test_prices_are_dollars_for_one_token(prices: Prices):
    assert prices.of("corp/big") == (2e-6, 4e-6)
    assert prices.of("play/anything") == (0.0, 0.0)
    assert [prices.of(name) for name in ("corp/unpriced", "gone/model", "", None)] == [None] * 4


def test_totals(prices: Prices):
    totals = Totals()
    totals.add(ROW, prices)
    totals.add(UNKNOWN, prices)
    assert (totals.runs, totals.input, totals.output, totals.tokens, totals.unpriced) == (
        4,
        2000,
        200,
        2200,
        2,
    )
    assert (totals.input_cost, totals.output_cost) == (pytest.approx(0.002), pytest.approx(0.0004))
    assert totals.cost == pytest.approx(0.0024)


def test_runs_without_tokens_need_no_price(prices: Prices):
    totals = Totals()
    totals.count("gone/model", 0, 0, 3, prices)
    assert (totals.runs, totals.unpriced, totals.cost) == (3, 0, 0.0)


def test_the_session_used_last_comes_first():
    usage = Usage([ROW, OTHER, UNKNOWN], [MessageCount("agent:main:b", "user", 19_999, 3)])
    found = usage.by_session()
    assert [one.runs[0].key for one in found] == ["agent:main:c", "agent:main:b", "agent:main:a"]
    assert [one.count_messages().user for one in found] == [0, 3, 0]


def test_days_are_in_order_and_have_their_own_messages():
    counts = [
        MessageCount("agent:main:a", "tool", 20_000, 2),
        MessageCount("agent:main:a", "user", 20_001, 1),
    ]
    days = Usage([ROW, OTHER], counts).by_day()
    assert [day for day, _ in days] == [19_999, 20_000]
    messages = days[1][1].count_messages()
    assert (messages.total, messages.tool, messages.failed_runs) == (2, 2, 1)


def test_groups_are_in_the_order_of_their_cost(prices: Prices):
    groups = Usage([OTHER, ROW, UNKNOWN], ()).by(lambda row: row.model, prices)
    assert groups[0][0] == "corp/big"
    assert {name: totals.runs for name, totals in groups} == {"corp/big": 2, "play/free": 1, "gone/model": 2}
