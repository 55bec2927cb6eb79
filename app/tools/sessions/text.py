"""Stored messages as other agents may read them: redacted, without thinking, cut to a length."""

from __future__ import annotations

import re
from collections.abc import Callable

from app.config.settings import Settings
from app.config.shown.redact import secrets_of
from app.logs.redaction import REDACTED, redact
from app.messages import Message

MAX_TEXT = 4000  # characters of one text
MARGIN = 8192  # characters behind them that are looked at: a secret may stand where the text is cut
_THINKING = re.compile(r"<(think|thinking|thought)>.*?(</\1>|\Z)\s*", re.DOTALL | re.IGNORECASE)


class SafeTexts:
    """`settings` gives the present settings, whose secrets are never shown."""

    def __init__(self, settings: Callable[[], Settings]) -> None:
        self._settings = settings
        self._known: tuple[Settings, set[str]] | None = None

    def of(self, message: Message) -> str:
        """The message's text; pictures are named."""
        pictures = " ".join(f"[{image.mime}]" for image in message.images)
        text = "\n".join(filter(None, (message.text or message.refusal or "", pictures)))
        return self.safe(_THINKING.sub("", text) if message.role == "assistant" else text)

    def safe(self, text: str, most: int = MAX_TEXT) -> str:
        """The text without secrets, cut to `most` characters."""
        shown = redact(text[: most + MARGIN])
        for secret in self._secrets():
            shown = shown.replace(secret, REDACTED)
        if len(shown) <= most and len(text) <= most + MARGIN:
            return shown
        return f"{shown[:most]}… [{max(len(text) - most, 1)} more characters]"

    def _secrets(self) -> set[str]:
        settings = self._settings()
        if self._known is None or self._known[0] is not settings:
            self._known = (settings, secrets_of(settings))
        return self._known[1]
