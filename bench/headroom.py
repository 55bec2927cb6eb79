"""How busy load generator and model were: the figures are the subjects' own only if both had time left."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.bounds import UPSTREAM

REFERENCES = ("nginx", UPSTREAM)  # with them the load generator is meant to be at its limit

Row = dict[str, Any]


def find_headroom(rows: Sequence[Row]) -> dict[str, Any]:
    """The busiest rows, and the row in which the upstream alone, under the same load, is least ahead.

    Paced streams are as fast as the model makes them, so they do not show how fast a subject could be.
    """
    measured = [row for row in rows if row["subject"] not in REFERENCES and row["per_second"]["median"]]
    if not measured:
        return {}
    alone = {
        (row["load"], row["at_once"]): row["per_second"]["median"]
        for row in rows
        if row["subject"] == UPSTREAM and "first" not in row
    }
    ahead = [
        {**_place(row), "upstream_per_second": rate, "times": rate / row["per_second"]["median"]}
        for row in measured
        if (rate := alone.get((row["load"], row["at_once"])))
    ]
    return {
        **{who: _busiest(measured, who) for who in ("load", "upstream")},
        "least_ahead": min(ahead, key=lambda one: one["times"], default=None),
    }


def describe_headroom(headroom: dict[str, Any]) -> str:
    """The figures as one sentence."""
    if not headroom:
        return "Headroom of the load generator: nothing was answered."
    load, upstream, ahead = headroom["load"], headroom["upstream"], headroom["least_ahead"]
    text = (
        f"Headroom of the load generator: it used at most {load['busy']:.0%} of a core ({_named(load)}), "
        f"the upstream {upstream['busy']:.0%} ({_named(upstream)}), nginx's rows and the upstream's own apart"
    )
    if ahead:
        text += (
            f"; with the upstream alone it reaches at least {ahead['times']:.1f} times the rate of any "
            f"subject ({ahead['upstream_per_second']:.0f}/s; {_named(ahead)})"
        )
    return text + "."


def _busiest(rows: Sequence[Row], who: str) -> dict[str, Any]:
    row = max(rows, key=lambda row: row["busy"][who])
    return {**_place(row), "busy": row["busy"][who]}


def _place(row: Row) -> dict[str, Any]:
    return {name: row[name] for name in ("subject", "load", "at_once")}


def _named(place: dict[str, Any]) -> str:
    return f"{place['load']}, {place['at_once']} at once, {place['subject']}"
