"""`usage.*` and `sessions.usage*`: what stored runs have used and cost (docs/websocket.md#methods)."""

from __future__ import annotations

from typing import Any

from app.clock import now_ms
from app.control.usage import Prices, Totals, Usage
from app.errors import InvalidRequest
from app.sessions.keys import is_visible
from app.sessions.rows import UsageRow
from app.ws.call import Call, Handler
from app.ws.methods.session_rows import named_key
from app.ws.methods.usage_dates import Span, load_span
from app.ws.methods.usage_totals import dump_totals, dump_usage

DEFAULT_ROWS, MAX_ROWS = 50, 1000
MAX_POINTS = 200


def cost(call: Call) -> Any:
    """Tokens and dollars of each day, and of all together."""
    span, prices = load_span(call.params), Prices(call.gateway.settings)
    wanted = call.params.optional_text("agentId")
    usage = Usage([row for row in _rows(call, span) if wanted in (None, row.agent_id)], ())
    return {
        "updatedAt": now_ms(),
        "days": span.days,
        "daily": [{"date": span.name(day), **dump_totals(own.total(prices))} for day, own in usage.by_day()],
        "totals": dump_totals(usage.total(prices)),
    }


def status(_: Call) -> Any:
    """Quotas at providers: they are not asked for, so there are none to show."""
    return {"updatedAt": now_ms(), "providers": []}


def sessions_usage(call: Call) -> Any:
    """The usage of each session, and the sums."""
    span, params = load_span(call.params), call.params
    limit = min(params.integer("limit", DEFAULT_ROWS, 1), MAX_ROWS)
    key = named_key(call) if params.optional_text("key") else None
    agent_id = params.optional_text("agentId")

    rows = [
        row
        for row in _rows(call, span)
        if (key is None or row.key == key) and agent_id in (None, row.agent_id)
    ]
    keys = {row.key for row in rows}
    messages = [
        one
        for one in call.gateway.store.usage.message_counts(span.first, span.last, span.offset)
        if one.key in keys
    ]
    answer = dump_usage(Usage(rows, messages), span, Prices(call.gateway.settings), limit)
    return {"updatedAt": now_ms(), "startDate": span.start, "endDate": span.end, **answer}


def timeseries(call: Call) -> Any:
    """A session's runs as points in time, with running sums. Raises InvalidRequest: no such session."""
    key, prices = named_key(call), Prices(call.gateway.settings)
    session = call.gateway.store.index.describe(key)
    if session is None:
        raise InvalidRequest(f"No transcript found for session: {key}")
    points, tokens, spent = [], 0, 0.0
    for run in call.gateway.store.usage.timeline(key, MAX_POINTS):
        used = Totals()
        used.count(run.model, run.prompt_tokens, run.completion_tokens, 1, prices)
        tokens, spent = tokens + used.tokens, spent + used.cost
        one = dump_totals(used)
        point = {name: one[name] for name in ("input", "output", "cacheRead", "cacheWrite", "totalTokens")}
        sums = {"cost": used.cost, "cumulativeTokens": tokens, "cumulativeCost": spent}
        points.append({"timestamp": run.at, **point, **sums})
    return {"sessionId": session.session_id, "points": points}


def logs(call: Call) -> Any:
    """The session's messages, the assistant's with the tokens and the dollars of their runs."""
    key, prices = named_key(call), Prices(call.gateway.settings)
    limit = min(call.params.integer("limit", 200, 1), MAX_ROWS)
    entries = []
    for row in call.gateway.store.transcripts.page(key, limit):
        entry: dict[str, Any] = {
            "timestamp": row.created_at,
            "role": "toolResult" if row.message.role == "tool" else row.message.role,
            "content": row.message.text[:2000],
        }
        if row.message.role == "assistant" and row.completion_tokens is not None:
            used = Totals()
            used.count(row.model, row.prompt_tokens or 0, row.completion_tokens, 1, prices)
            entry |= {"tokens": used.tokens, "cost": used.cost}
        entries.append(entry)
    return {"logs": entries}


def _rows(call: Call, span: Span) -> list[UsageRow]:
    rows = call.gateway.store.usage.totals(span.first, span.last, span.offset)
    return [row for row in rows if is_visible(row.key, call.owner)]


USAGE: dict[str, Handler] = {
    "usage.cost": cost,
    "usage.status": status,
    "sessions.usage": sessions_usage,
    "sessions.usage.timeseries": timeseries,
    "sessions.usage.logs": logs,
}
