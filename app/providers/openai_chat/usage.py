"""The tokens that a provider counted, in the forms that servers report them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from app.messages import Usage

MAX_TOKENS = 1_000_000_000  # a larger count is a mistake

_PROMPT = ("prompt_tokens", "input_tokens", "promptTokens", "inputTokens", "promptTokenCount")
_COMPLETION = (
    "completion_tokens",
    "output_tokens",
    "completionTokens",
    "outputTokens",
    "candidatesTokenCount",
    "generated_tokens",
)
_TOTAL = ("total_tokens", "totalTokens", "totalTokenCount")
_PROMPT_DETAILS = ("prompt_tokens_details", "input_tokens_details")
_COMPLETION_DETAILS = ("completion_tokens_details", "output_tokens_details")
_CACHED = frozenset(
    ("cached_tokens", "prompt_cache_hit_tokens", "cache_read_input_tokens", "cachedContentTokenCount")
)
_REASONING = frozenset(("reasoning_tokens", "thoughtsTokenCount"))
_USUAL = frozenset(("prompt_tokens", "completion_tokens", "total_tokens"))


class UsageReader:
    """Collects the counts of one answer. Of each, the last plausible one stands: above 0, at most MAX_TOKENS.

    So zeros and nonsense after real counts change nothing.
    """

    def __init__(self) -> None:
        self._prompt = self._completion = self._cached = self._reasoning = 0

    def read(self, usage: object) -> None:
        """Take the counts of a `usage` object; anything else is ignored."""
        if not isinstance(usage, dict):
            return
        if usage.keys() <= _USUAL and (counts := _usual(usage)) is not None:
            self._prompt, self._completion = counts
            return
        prompt, completion = _count(usage, _PROMPT), _count(usage, _COMPLETION)
        if prompt and not completion and (total := _count(usage, _TOTAL)) > prompt:
            completion = total - prompt
        self._prompt = prompt or self._prompt
        self._completion = completion or self._completion
        self._cached = _detail(usage, _PROMPT_DETAILS, _CACHED) or self._cached
        self._reasoning = _detail(usage, _COMPLETION_DETAILS, _REASONING) or self._reasoning

    def read_other_places(self, chunk: dict[str, Any]) -> None:
        """Take the counts that Groq and Gemini have in places of their own."""
        groq = chunk.get("x_groq")
        self.read(chunk.get("usageMetadata"))
        self.read(groq.get("usage") if isinstance(groq, dict) else None)

    def result(self) -> Usage | None:
        """The counts, 0 for one that did not come; None if neither of the two that matter came."""
        if not self._prompt and not self._completion:
            return None
        return Usage(self._prompt, self._completion, self._cached, self._reasoning)


def _usual(usage: dict[str, Any]) -> tuple[int, int] | None:
    """The counts of prompt and completion if both are as OpenAI sends them."""
    prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if type(prompt) is not int or type(completion) is not int:
        return None
    if not (0 < prompt <= MAX_TOKENS and 0 < completion <= MAX_TOKENS):
        return None
    return prompt, completion


def _detail(usage: dict[str, Any], groups: tuple[str, ...], names: frozenset[str]) -> int:
    for group in groups:
        inner = usage.get(group)
        if isinstance(inner, dict) and (count := _count(inner, names)):
            return count
    return _count(usage, names) if not names.isdisjoint(usage) else 0


def _count(counts: dict[str, Any], names: Iterable[str]) -> int:
    """The first plausible count of these names, 0 if there is none."""
    for name in names:
        if name in counts and (count := _plausible(counts[name])):
            return count
    return 0


def _plausible(value: object) -> int:
    """A count as a number or as text; 0 if it is none that can be right."""
    if type(value) is int:
        return value if 1 <= value <= MAX_TOKENS else 0
    try:
        number = float(value[:40] if isinstance(value, str) else value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return 0
    if isinstance(value, bool) or not math.isfinite(number):
        return 0
    return int(number) if 1 <= number <= MAX_TOKENS else 0
