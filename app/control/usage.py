"""What runs have used and what that cost, added up in the ways that an operator asks for. Pure.

Prices come from the configuration at the moment of asking: a changed price changes the cost of earlier runs.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from app.config.apis import APIS
from app.config.settings import Settings
from app.model_name import ModelName
from app.sessions.rows import MessageCount, UsageRow

MILLION = 1_000_000

K = TypeVar("K")


class Prices:
    """Dollars for a token of input and of output, as the configuration has them."""

    def __init__(self, settings: Settings) -> None:
        self._providers = settings.providers

    def of(self, model: str | None) -> tuple[float, float] | None:
        """(input, output) of a `provider/model`; None if the configuration does not say."""
        name, model_id = ModelName.parse(model or "")
        provider = self._providers.get(name)
        if provider is None:
            return None
        cost = provider.model(model_id).cost
        if not cost and not APIS[provider.api].is_free:
            return None
        return cost.get("input", 0.0) / MILLION, cost.get("output", 0.0) / MILLION


class Totals:
    """Tokens and dollars of some runs. `unpriced` counts the runs with tokens whose price is not known."""

    def __init__(self) -> None:
        self.runs = self.input = self.output = self.unpriced = 0
        self.input_cost = self.output_cost = 0.0

    @property
    def tokens(self) -> int:
        """Of input and of output together."""
        return self.input + self.output

    @property
    def cost(self) -> float:
        """Dollars for input and output together."""
        return self.input_cost + self.output_cost

    def add(self, row: UsageRow, prices: Prices) -> None:
        """Add the runs of one row."""
        self.count(row.model, row.prompt_tokens, row.completion_tokens, row.runs, prices)

    def count(self, model: str | None, prompt: int, completion: int, runs: int, prices: Prices) -> None:
        """Add `runs` runs of `model`, with so many tokens of input and of output."""
        self.runs += runs
        self.input += prompt
        self.output += completion
        price = prices.of(model)
        if price is not None:
            self.input_cost += prompt * price[0]
            self.output_cost += completion * price[1]
        elif prompt or completion:
            self.unpriced += runs


@dataclass(frozen=True, slots=True)
class Messages:
    """How many messages some sessions have. A tool's results count its calls, too: each has one."""

    total: int
    user: int
    assistant: int
    tool: int
    failed_runs: int


@dataclass(frozen=True, slots=True)
class Usage:
    """The rows of runs and of messages that one question is about."""

    runs: Sequence[UsageRow]
    messages: Sequence[MessageCount]

    def total(self, prices: Prices) -> Totals:
        """All of it."""
        return total(self.runs, prices)

    def count_messages(self) -> Messages:
        """By role."""
        counts: Counter[str] = Counter()
        for one in self.messages:
            counts[one.role] += one.count
        return Messages(
            total=counts.total(),
            user=counts["user"],
            assistant=counts["assistant"],
            tool=counts["tool"],
            failed_runs=sum(row.failed for row in self.runs),
        )

    def by_session(self) -> list[Usage]:
        """One for each session, the one used last first; of two used at the same moment, the younger."""
        runs = _group(self.runs, lambda row: row.key)
        messages = _group(self.messages, lambda row: row.key)
        oldest_first = sorted(runs.values(), key=lambda own: max(row.last_at for row in own))
        return [Usage(own, messages.get(own[0].key, [])) for own in reversed(oldest_first)]

    def by_day(self) -> list[tuple[int, Usage]]:
        """(days since 1970, what was used) for each day with a run, oldest first."""
        runs = _group(self.runs, lambda row: row.day)
        messages = _group(self.messages, lambda row: row.day)
        return [(day, Usage(own, messages.get(day, []))) for day, own in sorted(runs.items())]

    def by(self, name: Callable[[UsageRow], K], prices: Prices) -> list[tuple[K, Totals]]:
        """One total for each name, the costliest first."""
        totals = [(key, total(own, prices)) for key, own in _group(self.runs, name).items()]
        return sorted(totals, key=lambda one: (one[1].cost, one[1].tokens), reverse=True)


def total(rows: Iterable[UsageRow], prices: Prices) -> Totals:
    """The sum of `rows`."""
    totals = Totals()
    for row in rows:
        totals.add(row, prices)
    return totals


R = TypeVar("R", UsageRow, MessageCount)


def _group(rows: Iterable[R], key: Callable[[R], K]) -> dict[K, list[R]]:
    groups: dict[K, list[R]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return groups
