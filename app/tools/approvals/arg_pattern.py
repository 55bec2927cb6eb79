"""Regular expressions over a command's arguments, which must not take long, however they are written."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from app.errors import InvalidRequest
from app.logs.lines import log_event

logger = logging.getLogger("app.approvals")

MAX_MATCH_SECONDS = 0.01  # one that takes longer does not match
MAX_ARGUMENTS = 8192  # characters that one is applied to


def are_matched(pattern: str, arguments: Sequence[str]) -> bool:
    """Whether the regular expression is found in the arguments, joined by single blanks."""
    text = " ".join(arguments)
    if len(text) > MAX_ARGUMENTS:
        return False
    try:
        return compiled(pattern).search(text, timeout=MAX_MATCH_SECONDS) is not None
    except TimeoutError:
        log_event(
            logger, logging.WARNING, "an argPattern takes too long and matches nothing", pattern=pattern
        )
    except InvalidRequest:
        log_event(logger, logging.WARNING, "an argPattern is no regular expression", pattern=pattern)
    return False


@lru_cache(maxsize=1024)
def compiled(pattern: str) -> Any:
    """Raises InvalidRequest."""
    # Only who has an argPattern pays for it. Python's own module knows no time limit.
    import regex  # noqa: PLC0415

    try:
        return regex.compile(pattern)
    except (regex.error, OverflowError, RecursionError) as error:
        raise InvalidRequest(f"argPattern {pattern[:80]!r} is no regular expression: {error}") from error
