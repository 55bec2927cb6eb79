"""Usage as the Control UI's usage page reads it (docs/websocket.md#methods, `sessions.usage`)."""

from __future__ import annotations

from typing import Any

from app.control.usage import Prices, Totals, Usage
from app.model_name import ModelName
from app.sessions.rows import UsageRow
from app.ws.methods.session_rows import dump_model
from app.ws.methods.usage_dates import Span


def dump_totals(totals: Totals) -> dict[str, Any]:
    """Tokens and dollars. There is no cache whose share providers would report."""
    return {
        "input": totals.input,
        "output": totals.output,
        "cacheRead": 0,
        "cacheWrite": 0,
        "totalTokens": totals.tokens,
        "totalCost": totals.cost,
        "inputCost": totals.input_cost,
        "outputCost": totals.output_cost,
        "cacheReadCost": 0,
        "cacheWriteCost": 0,
        "missingCostEntries": totals.unpriced,
    }


def dump_usage(usage: Usage, span: Span, prices: Prices, limit: int) -> dict[str, Any]:
    """The `limit` sessions used last; totals; and the same by model, provider, agent and day."""
    return {
        "sessions": [_dump_session(one, span, prices) for one in usage.by_session()[:limit]],
        "totals": dump_totals(usage.total(prices)),
        "aggregates": {
            "messages": _dump_messages(usage),
            "tools": _dump_tools(usage),
            "byModel": _dump_by_model(usage, prices),
            "byProvider": [
                {"provider": name, **_dump_group(totals)}
                for name, totals in usage.by(lambda row: _model(row).provider, prices)
            ],
            "byAgent": [
                {"agentId": agent_id, **_dump_group(totals)}
                for agent_id, totals in usage.by(lambda row: row.agent_id, prices)
            ],
            "byChannel": [],
            "daily": _dump_days(usage, span, prices),
        },
    }


def _dump_session(usage: Usage, span: Span, prices: Prices) -> dict[str, Any]:
    newest = max(usage.runs, key=lambda row: row.last_at)
    first, last = min(row.first_at for row in usage.runs), newest.last_at
    days = _dump_days(usage, span, prices)
    dumped = {
        **dump_totals(usage.total(prices)),
        "sessionId": newest.session_id,
        "firstActivity": first,
        "lastActivity": last,
        "durationMs": last - first,
        "activityDates": [day["date"] for day in days],
        "dailyBreakdown": [{name: day[name] for name in ("date", "tokens", "cost")} for day in days],
        "messageCounts": _dump_messages(usage),
        "toolUsage": _dump_tools(usage),
        "modelUsage": _dump_by_model(usage, prices),
    }
    return {
        "key": newest.key,
        "sessionId": newest.session_id,
        "agentId": newest.agent_id,
        "updatedAt": last,
        **({"label": newest.label} if newest.label else {}),
        **(dump_model(newest.model) if newest.model else {}),
        "usage": dumped,
    }


def _dump_by_model(usage: Usage, prices: Prices) -> list[dict[str, Any]]:
    return [
        {"provider": name.provider, "model": name.model, **_dump_group(totals)}
        for name, totals in usage.by(_model, prices)
    ]


def _dump_group(totals: Totals) -> dict[str, Any]:
    return {"count": totals.runs, "totals": dump_totals(totals)}


def _dump_days(usage: Usage, span: Span, prices: Prices) -> list[dict[str, Any]]:
    return [_dump_day(span.name(day), own, prices) for day, own in usage.by_day()]


def _dump_day(name: str, usage: Usage, prices: Prices) -> dict[str, Any]:
    totals, counts = usage.total(prices), usage.count_messages()
    return {
        "date": name,
        "tokens": totals.tokens,
        "cost": totals.cost,
        "messages": counts.total,
        "toolCalls": counts.tool,
        "errors": counts.failed_runs,
    }


def _dump_messages(usage: Usage) -> dict[str, int]:
    counts = usage.count_messages()
    return {
        "total": counts.total,
        "user": counts.user,
        "assistant": counts.assistant,
        "toolCalls": counts.tool,
        "toolResults": counts.tool,
        "errors": counts.failed_runs,
    }


def _dump_tools(usage: Usage) -> dict[str, Any]:
    """Calls are counted by their results; which tools they were is not known without reading them."""
    return {"totalCalls": usage.count_messages().tool, "uniqueTools": 0, "tools": []}


def _model(row: UsageRow) -> ModelName:
    return ModelName.parse(row.model or "unknown/unknown")
