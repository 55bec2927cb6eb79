"""Sums of what runs used and cost, as the Control UI's usage page reads them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from app.config.apis import APIS
from app.gateway import Gateway
from app.sessions.rows import MessageCount, UsageRow
from app.ws.methods.session_rows import dump_model
from app.ws.methods.usage_dates import Span

MILLION = 1_000_000


class Prices:
    """Dollars for a token of input and of output, from the configuration."""

    def __init__(self, gateway: Gateway) -> None:
        self._providers = gateway.settings.providers

    def of(self, model: str | None) -> tuple[float, float] | None:
        """None if the configuration does not say."""
        name, _, model_id = (model or "").partition("/")
        provider = self._providers.get(name)
        if provider is None:
            return None
        cost = provider.model(model_id).cost
        if not cost and not APIS[provider.api].is_free:
            return None
        return cost.get("input", 0.0) / MILLION, cost.get("output", 0.0) / MILLION


class Totals:
    def __init__(self) -> None:
        self.runs = self.input = self.output = self.unpriced = 0
        self.input_cost = self.output_cost = 0.0

    @property
    def tokens(self) -> int:
        return self.input + self.output

    @property
    def cost(self) -> float:
        return self.input_cost + self.output_cost

    def add(self, row: UsageRow, prices: Prices) -> None:
        self.count(row.model, row.prompt_tokens, row.completion_tokens, row.runs, prices)

    def count(self, model: str | None, prompt: int, completion: int, runs: int, prices: Prices) -> None:
        self.runs += runs
        self.input += prompt
        self.output += completion
        price = prices.of(model)
        if price is not None:
            self.input_cost += prompt * price[0]
            self.output_cost += completion * price[1]
        elif prompt or completion:
            self.unpriced += runs

    def dump(self) -> dict[str, Any]:
        return {
            "input": self.input,
            "output": self.output,
            "cacheRead": 0,
            "cacheWrite": 0,
            "totalTokens": self.tokens,
            "totalCost": self.cost,
            "inputCost": self.input_cost,
            "outputCost": self.output_cost,
            "cacheReadCost": 0,
            "cacheWriteCost": 0,
            "missingCostEntries": self.unpriced,
        }


def dump_usage(
    rows: Sequence[UsageRow], said: Sequence[MessageCount], span: Span, prices: Prices, limit: int
) -> dict[str, Any]:
    """Sessions, the last used first; totals; and the same by model, provider, agent and day."""
    by_key: dict[str, list[UsageRow]] = defaultdict(list)
    for row in rows:
        by_key[row.key].append(row)
    said_in: dict[str, list[MessageCount]] = defaultdict(list)
    for one in said:
        said_in[one.key].append(one)
    oldest_first = sorted(by_key.values(), key=lambda own: max(row.last_at for row in own))
    newest = oldest_first[::-1][:limit]  # of two used in the same millisecond, the younger first
    sessions = [_dump_session(own, said_in[own[0].key], span, prices) for own in newest]
    return {
        "sessions": sessions,
        "totals": _total(rows, prices).dump(),
        "aggregates": {
            "messages": _messages(rows, said),
            "tools": _tools(said),
            "byModel": _by_model(rows, prices),
            "byProvider": _grouped(rows, lambda row: {"provider": _model(row)["provider"]}, prices),
            "byAgent": _grouped(rows, lambda row: {"agentId": row.agent_id}, prices),
            "byChannel": [],
            "daily": _daily(rows, said, span, prices),
        },
    }


def _dump_session(
    rows: Sequence[UsageRow], said: Sequence[MessageCount], span: Span, prices: Prices
) -> dict[str, Any]:
    newest = max(rows, key=lambda row: row.last_at)
    first, last = min(row.first_at for row in rows), newest.last_at
    days = _daily(rows, said, span, prices)
    usage = {
        **_total(rows, prices).dump(),
        "sessionId": newest.session_id,
        "firstActivity": first,
        "lastActivity": last,
        "durationMs": last - first,
        "activityDates": [day["date"] for day in days],
        "dailyBreakdown": [{name: day[name] for name in ("date", "tokens", "cost")} for day in days],
        "messageCounts": _messages(rows, said),
        "toolUsage": _tools(said),
        "modelUsage": _by_model(rows, prices),
    }
    return {
        "key": newest.key,
        "sessionId": newest.session_id,
        "agentId": newest.agent_id,
        "updatedAt": last,
        **({"label": newest.label} if newest.label else {}),
        **(dump_model(newest.model) if newest.model else {}),
        "usage": usage,
    }


def _total(rows: Iterable[UsageRow], prices: Prices) -> Totals:
    totals = Totals()
    for row in rows:
        totals.add(row, prices)
    return totals


def _model(row: UsageRow) -> dict[str, str]:
    provider, _, model = (row.model or "unknown/unknown").partition("/")
    return {"provider": provider, "model": model}


def _by_model(rows: Iterable[UsageRow], prices: Prices) -> list[dict[str, Any]]:
    return _grouped(rows, _model, prices)


def _grouped(
    rows: Iterable[UsageRow], name: Callable[[UsageRow], dict[str, str]], prices: Prices
) -> list[dict[str, Any]]:
    """One entry for each name, the costliest first."""
    groups: dict[tuple[tuple[str, str], ...], list[UsageRow]] = defaultdict(list)
    for row in rows:
        groups[tuple(name(row).items())].append(row)
    totals = [(dict(names), _total(own, prices)) for names, own in groups.items()]
    totals.sort(key=lambda one: (one[1].cost, one[1].tokens), reverse=True)
    return [{**names, "count": found.runs, "totals": found.dump()} for names, found in totals]


def _daily(
    rows: Sequence[UsageRow], said: Sequence[MessageCount], span: Span, prices: Prices
) -> list[dict[str, Any]]:
    used: dict[int, list[UsageRow]] = defaultdict(list)
    for row in rows:
        used[row.day].append(row)
    spoken: dict[int, list[MessageCount]] = defaultdict(list)
    for one in said:
        spoken[one.day].append(one)
    return [_dump_day(span.name(day), own, spoken[day], prices) for day, own in sorted(used.items())]


def _dump_day(
    name: str, rows: Sequence[UsageRow], said: Sequence[MessageCount], prices: Prices
) -> dict[str, Any]:
    totals, counts = _total(rows, prices), _messages(rows, said)
    return {
        "date": name,
        "tokens": totals.tokens,
        "cost": totals.cost,
        "messages": counts["total"],
        "toolCalls": counts["toolCalls"],
        "errors": counts["errors"],
    }


def _messages(rows: Iterable[UsageRow], said: Iterable[MessageCount]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for one in said:
        counts[one.role] += one.count
    return {
        "total": counts.total(),
        "user": counts["user"],
        "assistant": counts["assistant"],
        "toolCalls": counts["tool"],
        "toolResults": counts["tool"],
        "errors": sum(row.failed for row in rows),
    }


def _tools(said: Iterable[MessageCount]) -> dict[str, Any]:
    """Calls are counted by their results; which tools they were is not known without reading them."""
    calls = sum(one.count for one in said if one.role == "tool")
    return {"totalCalls": calls, "uniqueTools": 0, "tools": []}
