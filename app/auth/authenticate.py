"""Does this caller hold the gateway's secret? (Contract, HTTP section 3.)"""

from __future__ import annotations

import hashlib
import hmac
import re

from app.auth.principal import Principal
from app.config.settings import AuthSettings
from app.errors import Unauthorized

_BEARER = re.compile(r"\s*bearer\s+(\S.*?)\s*", re.IGNORECASE | re.DOTALL)


def authenticate(authorization: str | None, auth: AuthSettings) -> Principal:
    """The caller behind an `Authorization` header (as WSGI gives it: Latin-1). Raises Unauthorized."""
    if auth.mode == "none":
        return Principal("none")
    presented = bearer_secret(authorization)
    secret = auth.password if auth.mode == "password" else auth.token
    if presented is None or not secret or not _is_secret(presented, secret):
        raise Unauthorized("Unauthorized")
    return Principal(auth.mode)


def bearer_secret(authorization: str | None) -> str | None:
    """The secret of a `Bearer` header, or None for any other header."""
    match = _BEARER.fullmatch(authorization or "")
    return match[1] if match else None


def _is_secret(presented: str, secret: str) -> bool:
    """Compares in constant time; clients send non-ASCII secrets as UTF-8 or as Latin-1."""
    raw = presented.encode("latin-1", "replace")
    as_utf8 = hmac.compare_digest(_digest(raw), _digest(secret.encode("utf-8", "surrogatepass")))
    as_latin1 = hmac.compare_digest(_digest(raw), _digest(secret.encode("latin-1", "replace")))
    return as_utf8 or (as_latin1 and _is_latin1(secret))


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _is_latin1(text: str) -> bool:
    return all(ord(char) < 256 for char in text)
