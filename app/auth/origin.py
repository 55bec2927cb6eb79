"""Is this request meant for us, and may the page that it comes from send it? Pure.

This protects against web pages that attack a gateway on their reader's own machine, by a host name of theirs
that resolves to it (DNS rebinding) or by a plain cross-site request. See
docs/http.md#host-names-and-web-pages.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from app.auth.network import is_loopback
from app.config.settings import GatewaySettings
from app.errors import Forbidden, HostNotAllowed, OriginNotAllowed

FORWARDING = (
    "Forwarded",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X-Real-Ip",
    "Cf-Connecting-Ip",
)
_DEFAULT_PORTS = {"http": 80, "https": 443}

Header = Callable[[str], str | None]


def check_host(host: str | None, gateway: GatewaySettings) -> None:
    """Raise HostNotAllowed for a Host header that is not ours.

    Hosts are checked on a gateway without a secret, and wherever `gateway.allowedHosts` is set.
    """
    if gateway.auth.mode != "none" and not gateway.allowed_hosts:
        return
    if not is_our_host(host, gateway):
        raise HostNotAllowed(
            f"This gateway does not answer to the name {(host or '')[:100]!r}. "
            "gateway.allowedHosts lists the names it has."
        )


def is_our_host(host: str | None, gateway: GatewaySettings) -> bool:
    """Whether a Host header names us. Loopback names always do: no page can redirect them."""
    written, name = (host or "").strip().lower(), _hostname(host)
    return _is_loopback_name(name) or name in gateway.allowed_hosts or written in gateway.allowed_hosts


def check_open_gateway(header: Header, gateway: GatewaySettings) -> None:
    """On a gateway without a secret, refuse pages of other sites and requests that a proxy forwarded.

    Raises OriginNotAllowed and Forbidden.
    """
    if gateway.auth.mode != "none":
        return
    forwarded = next((name for name in FORWARDING if header(name) is not None), None)
    if forwarded is not None:
        raise Forbidden(
            f"This request came through a proxy ({forwarded}), and the gateway has no secret. "
            "Set gateway.auth.token to serve others than this machine."
        )
    origin = header("Origin") or ""
    # No proxy may stand before such a gateway, so its own pages are never https.
    is_foreign = origin.startswith("https:") and origin not in gateway.cors_origins
    if is_foreign or header("Sec-Fetch-Site") == "cross-site" or not is_own_origin(header, gateway):
        raise OriginNotAllowed(
            f"Pages of {(origin or 'another site')[:100]} may not call this gateway. "
            "gateway.http.cors.origins lists those that may."
        )


def is_own_origin(header: Header, gateway: GatewaySettings) -> bool:
    """Whether the request comes from no page, from our own, or from an allowed one."""
    origin = header("Origin")
    if origin is None or origin in gateway.cors_origins:
        return True
    url = urlsplit(origin)
    if url.scheme not in _DEFAULT_PORTS or not url.netloc:
        return False
    return _with_port(url.netloc, url.scheme) == _with_port(header("Host") or "", url.scheme)


def _with_port(netloc: str, scheme: str) -> str:
    name = netloc.lower()
    has_port = ":" in name.rpartition("]")[2]
    return name if has_port else f"{name}:{_DEFAULT_PORTS[scheme]}"


def _hostname(host: str | None) -> str:
    name = (host or "").strip().lower()
    if name.startswith("["):
        return name.partition("]")[0] + "]"
    return name.rpartition(":")[0] if name.count(":") == 1 else name


def _is_loopback_name(name: str) -> bool:
    return name == "localhost" or name.endswith(".localhost") or is_loopback(name)
