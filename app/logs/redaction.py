"""Credentials never reach a log line: what looks like one is replaced."""

from __future__ import annotations

import re

REDACTED = "[redacted]"

_SECRETS = re.compile(
    r"(?P<lead>\bBearer\s+|[?&#](?:token|password|key)="
    r"|(?:authorization|api[-_]?key)[\"']?\s*[:=]\s*[\"']?(?:(?:bearer|basic)\s+)?)"
    r"[^\s\"'&]+|\b(?:sk|gsk|xai|pk)-[-_A-Za-z0-9]{8,}",
    re.IGNORECASE,
)
_PLAIN_WORD = re.compile(r"[-A-Za-z0-9_.~+/=:@,]+", re.ASCII)
_HINTS = ("bearer", "authorization", "api", "=", "k-", "xai-")


def redact(text: str) -> str:
    """`text` without anything that looks like a credential."""
    if is_harmless(text):
        return text
    return _SECRETS.sub(lambda match: (match["lead"] or "") + REDACTED, text)


def redact_words(text: str) -> str:
    """As `redact`, for a command that somebody is to judge: only what is one plain word is replaced, so that
    nothing which a shell would act on can be made to look like a credential.
    """

    def shown(match: re.Match[str]) -> str:
        lead = match["lead"] or ""
        secret = match[0][len(lead) :]
        return lead + REDACTED if _PLAIN_WORD.fullmatch(secret) else match[0]

    return _SECRETS.sub(shown, text)


def is_harmless(text: str) -> bool:
    """Whether no part of `text` can be a credential: a quick test before the slow pattern."""
    if not text.isascii():  # outside ASCII some letters have more than two cases
        return False
    lowered = text.lower()
    return not any(map(lowered.__contains__, _HINTS))
