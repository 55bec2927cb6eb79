"""Who is this caller? The same for every transport (docs/http.md#authentication)."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Protocol

import msgspec

from app.auth.network import client_address, is_loopback, is_trusted_proxy
from app.auth.principal import Principal
from app.auth.scopes import ADMIN, ALL, USE, common_scopes
from app.config.settings import AuthRateLimit, AuthSettings, GatewaySettings, TrustedProxySettings
from app.errors import Forbidden, Unauthorized

_BEARER = re.compile(r"bearer[ \t]+(.+)", re.IGNORECASE | re.DOTALL)
_USER = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029,]{1,256}")
# The proxy may say in one of them which scopes at most its user has, apart by commas or blanks.
SCOPES_HEADERS = ("X-OpenClaw-Scopes", "X-Clawdbot-Scopes")


class Caller(msgspec.Struct, frozen=True):
    """The sender of a request. `peer` is its address; `header` gives a header's text as WSGI has it
    (Latin-1).
    """

    peer: str
    header: Callable[[str], str | None]


class AttemptCounter(Protocol):
    """Counts wrong credentials by the client's address; `app.auth.limits` has the one in use."""

    def failed(self, address: str, limit: AuthRateLimit) -> None:
        """Count a wrong credential. Raises AuthRateLimited if the client is, or now becomes, locked out."""

    def succeeded(self, address: str, limit: AuthRateLimit) -> None:
        """Forget the client's wrong credentials."""


def authenticate(caller: Caller, gateway: GatewaySettings, limiter: AttemptCounter) -> Principal:
    """The caller, with its scopes.

    Raises Unauthorized, Forbidden (a user whom the proxy names but the gateway does not allow) and
    AuthRateLimited.
    """
    auth = gateway.auth
    if auth.mode == "none":
        return Principal("none", scopes=ALL)
    if auth.mode == "trusted-proxy":
        return _from_proxy(caller, gateway)
    presented = bearer_secret(caller.header("Authorization"))
    if presented is None:
        raise _unauthorized()
    if is_gateway_secret(presented, auth):
        _count(caller, gateway, limiter, right=True)
        return Principal(auth.mode, scopes=ALL)
    _count(caller, gateway, limiter, right=False)
    raise _unauthorized()


def bearer_secret(authorization: str | None) -> str | None:
    """The secret of a `Bearer` header, or None for any other header."""
    # Only ASCII blanks go: the bytes of a non-ASCII secret look like blanks in Latin-1 (à ends in one).
    match = _BEARER.fullmatch((authorization or "").strip(" \t"))
    return match[1] if match else None


def is_gateway_secret(presented: str, auth: AuthSettings) -> bool:
    """Whether `presented` is the gateway's secret, compared in constant time.

    Clients send a secret that is not ASCII as UTF-8 or as Latin-1; both are accepted.
    """
    secret = auth.password if auth.mode == "password" else auth.token
    if not secret:
        return False
    utf8, latin1 = _digests(secret)
    raw = _digest(presented.encode("latin-1", "replace"))
    as_utf8 = hmac.compare_digest(raw, utf8)
    as_latin1 = hmac.compare_digest(raw, latin1)
    return as_utf8 or (as_latin1 and _is_latin1(secret))


@lru_cache(maxsize=2)
def _digests(secret: str) -> tuple[bytes, bytes]:
    return _digest(secret.encode("utf-8", "surrogatepass")), _digest(secret.encode("latin-1", "replace"))


def _from_proxy(caller: Caller, gateway: GatewaySettings) -> Principal:
    """The user that a trusted proxy names. Raises Unauthorized if anybody else sends the header."""
    proxy = gateway.auth.trusted_proxy or TrustedProxySettings()
    if not is_trusted_proxy(caller.peer, gateway.trusted_proxies):
        raise _unauthorized()
    if is_loopback(caller.peer) and not proxy.allow_loopback:
        raise _unauthorized()
    if any(not caller.header(name) for name in proxy.required_headers):
        raise _unauthorized()
    user = _user_name(caller.header(proxy.user_header) or "")
    # A comma means that the header came twice, so not only the proxy has written it: the server joins them.
    if not _USER.fullmatch(user):
        raise _unauthorized()
    if proxy.allow_users and user not in proxy.allow_users:
        raise Forbidden("This user may not use the gateway (gateway.auth.trustedProxy.allowUsers).")
    scopes = _scopes_from_proxy(caller, ALL if user in proxy.admin_users else USE)
    return Principal("trusted-proxy", user, scopes, is_admin=ADMIN in scopes)


def _user_name(header: str) -> str:
    """The name in the proxy's header: UTF-8 without ASCII blanks around it; empty if it is no UTF-8.

    Other blanks stay: in Latin-1, as WSGI gives the header, the last byte of `à` looks like one.
    """
    try:
        return header.encode("latin-1").decode("utf-8").strip(" \t")
    except UnicodeError:
        return ""


def _scopes_from_proxy(caller: Caller, scopes: frozenset[str]) -> frozenset[str]:
    """`scopes`, as far as the proxy's headers include them. An empty header leaves none."""
    for name in SCOPES_HEADERS:
        header = caller.header(name)
        if header is not None:
            scopes = common_scopes(scopes, frozenset(re.split(r"[,\s]+", header)) - {""})
    return scopes


def _count(caller: Caller, gateway: GatewaySettings, limiter: AttemptCounter, right: bool) -> None:
    limit = gateway.auth.rate_limit
    if limit is None:
        return
    address = client_address(caller.peer, caller.header("X-Forwarded-For"), gateway.trusted_proxies)
    if limit.exempt_loopback and is_loopback(address) and caller.header("X-Forwarded-For") is None:
        return
    if right:
        limiter.succeeded(address, limit)
    else:
        limiter.failed(address, limit)


def _unauthorized() -> Unauthorized:
    return Unauthorized("Unauthorized")


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _is_latin1(text: str) -> bool:
    return all(ord(char) < 256 for char in text)
