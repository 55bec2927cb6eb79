"""Request headers `x-openclaw-…`, which clients may also write as the older `x-clawdbot-…`."""

from __future__ import annotations

from functools import cache

from app.exchange import GatewayRequest

PREFIXES = ("openclaw", "clawdbot")


def openclaw_header(request: GatewayRequest, name: str) -> str | None:
    """The header's text, None if it is absent. `x-openclaw-…` wins.

    WSGI decodes header bytes as Latin-1 (PEP 3333); clients send UTF-8.
    """
    for key in _environ_keys(name):
        value: str | None = request.environ.get(key)
        if value is not None:
            return value.encode("latin-1", "replace").decode("utf-8", "replace")
    return None


@cache
def _environ_keys(name: str) -> tuple[str, ...]:
    return tuple(f"HTTP_X_{prefix}_{name}".upper().replace("-", "_") for prefix in PREFIXES)
