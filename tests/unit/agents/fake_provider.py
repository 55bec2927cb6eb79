"""A provider in memory: each call plays the next of its scripts and is remembered."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from app.cancel import Cancel
from app.events.types import ModelEvent, ModelFinished, TextDelta
from app.messages import Usage
from app.providers.base import ModelCall

# What a script may hold: events, errors to raise, and things to do in between (which may wait or raise).
Step = ModelEvent | BaseException | Callable[[Cancel], object]
Script = Sequence[Step]

USED = Usage(7, 2)


def says(*pieces: str) -> Script:
    return [*map(TextDelta, pieces), ModelFinished("stop", USED)]


class FakeProvider:
    """When its scripts are used up, it plays `standing`."""

    def __init__(self, *scripts: Script, name: str = "fake", standing: Script | None = None) -> None:
        self.name = name
        self.calls: list[ModelCall] = []
        self.closed = 0  # streams that were left before their end
        self._scripts = list(scripts)
        self._standing = standing

    def stream(self, call: ModelCall, cancel: Cancel) -> Iterator[ModelEvent]:
        self.calls.append(call)
        script = self._scripts.pop(0) if self._scripts else self._standing
        assert script is not None, "one call too many"
        try:
            for step in script:
                if isinstance(step, BaseException):
                    raise step
                if callable(step):
                    step(cancel)
                else:
                    yield step
        except GeneratorExit:
            self.closed += 1
            raise

    def close(self) -> None:
        pass
