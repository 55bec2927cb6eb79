"""One model call with retries and fallback models (docs/http.md#when-the-models-provider-fails).

Both happen only before the first output, so text is never repeated.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator, Sequence

from app.cancel import Cancel
from app.errors import ProviderError
from app.events.types import ModelEvent, ModelFinished
from app.logs.lines import log_event
from app.providers.base import ModelCall
from app.providers.registry import Candidate

logger = logging.getLogger("app.agents")

MAX_RETRY_SECONDS = 5.0  # from the first attempt to the last
FIRST_PAUSE_SECONDS = 0.25
MAX_RETRIES = 2

ObserveFailure = Callable[[Candidate, ProviderError], object]


def call_model(
    candidates: Sequence[Candidate], call: ModelCall, cancel: Cancel, observe_failure: ObserveFailure
) -> Iterator[ModelEvent]:
    """The events of the first candidate that answers.

    Raises the first candidate's error if none does, and any error that comes after the first output.
    """
    first: ProviderError | None = None
    for candidate in candidates:
        attempts = _Attempts()
        while True:
            has_output = False
            try:
                for event in candidate.provider.stream(call.to(candidate.model), cancel):
                    if isinstance(event, ModelFinished):
                        event = ModelFinished(event.reason, event.usage, candidate.name)
                    has_output = True
                    yield event
                return
            except ProviderError as error:
                pause = None if has_output else attempts.pause_after(error)
                _log_failure(candidate, error, pause)
                observe_failure(candidate, error)
                if has_output:
                    raise
                if pause is None:
                    # Without its traceback, whose frames hold what has come of the answer.
                    first = first or error.with_traceback(None)
                    break
            cancel.sleep(pause)
    assert first is not None  # there is at least one candidate
    raise first


class _Attempts:
    """The attempts at one candidate: whether and when it is worth another."""

    def __init__(self) -> None:
        self._deadline = time.monotonic() + MAX_RETRY_SECONDS
        self._failures: list[str] = []

    def pause_after(self, error: ProviderError) -> float | None:
        """Seconds to wait before the next attempt, None when it is not worth one."""
        self._failures.append(error.code)
        made = len(self._failures)
        if self._failures.count(error.code) > error.retries or made > MAX_RETRIES:
            return None
        pause = error.retry_after
        if pause is None:
            pause = FIRST_PAUSE_SECONDS * 2 ** (made - 1) * random.uniform(0.8, 1.2)  # noqa: S311
        return pause if time.monotonic() + pause < self._deadline else None


def _log_failure(candidate: Candidate, error: ProviderError, pause: float | None) -> None:
    log_event(
        logger,
        logging.WARNING,
        "model call failed" if pause is None else "model call failed, trying again",
        model=candidate.name,
        code=error.code,
        error=error.message,
        retry_in=None if pause is None else round(pause, 2),
    )
