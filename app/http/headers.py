"""Request headers of either brand: `x-openclaw-…`, and the older `x-clawdbot-…`."""

from __future__ import annotations

from flask import Request

BRANDS = ("openclaw", "clawdbot")


def brand_header(request: Request, name: str) -> str | None:
    """The header's text, the newer brand first. WSGI hands headers over as Latin-1; clients send UTF-8."""
    for brand in BRANDS:
        value = request.headers.get(f"x-{brand}-{name}")
        if value is not None:
            return value.encode("latin-1", "replace").decode("utf-8", "replace")
    return None
