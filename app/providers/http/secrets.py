"""What a provider may quote of the configuration and no message may contain: its key, secret headers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from app.config.dummy_keys import is_dummy_key
from app.config.settings import ProviderSettings

REMOVED = "[key]"
MIN_CHARS = 8  # a shorter text may be a part of any word

# Headers whose values are no secrets, and may be words of any message.
_PUBLIC_HEADERS = frozenset(
    (
        *("accept", "accept-language", "user-agent", "content-type", "referer", "http-referer", "x-title"),
        *("origin", "anthropic-version", "anthropic-beta", "openai-beta", "openai-organization"),
    )
)
_PARTS = re.compile(r"[\s;,=\"]+")


class Secrets:
    """Texts to remove from messages; short ones and dummy keys such as `ollama` are left alone."""

    def __init__(self, texts: Iterable[str]) -> None:
        recognizable = {text for text in texts if len(text) >= MIN_CHARS and not is_dummy_key(text)}
        # A shorter one may be a part of a longer one.
        self._texts = sorted(recognizable, key=lambda text: (-len(text), text))

    def remove_from(self, message: str) -> str:
        """The message with each of the secrets replaced."""
        for text in self._texts:
            message = message.replace(text, REMOVED)
        return message


def secrets_of(settings: ProviderSettings) -> Secrets:
    """The key and the headers of that provider, and the password of its proxy."""
    return Secrets(_texts(settings))


def _texts(settings: ProviderSettings) -> Iterator[str]:
    if settings.api_key:
        yield settings.api_key
    for name, value in settings.headers.items():
        if name.lower() not in _PUBLIC_HEADERS:
            yield value
            yield from _PARTS.split(value)  # `Bearer KEY`, `session=KEY; path=/`
    if settings.proxy and "@" in settings.proxy:
        yield settings.proxy.rpartition("@")[0].rpartition(":")[2]
