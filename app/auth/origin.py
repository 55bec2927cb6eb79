"""Is this request meant for us, and may the page that it comes from send it? Pure.

This protects against web pages that attack a gateway on their reader's own machine, by a host name of theirs
that resolves to it (DNS rebinding) or by a plain cross-site request. See
docs/http.md#host-names-and-web-pages.
"""

from __future__ import annotations

import re
from functools import lru_cache

from app.auth.authenticate import Caller
from app.auth.network import is_loopback, is_trusted_proxy
from app.config.settings import GatewaySettings
from app.errors import Forbidden, HostNotAllowed, OriginNotAllowed

# Any of them shows that a proxy stands between; which one a proxy sends differs.
FORWARDING = (
    *("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port"),
    *("X-Forwarded-Server", "X-Forwarded-Prefix", "X-Forwarded-User", "X-Original-Forwarded-For"),
    *("X-Real-Ip", "X-Client-Ip", "X-Cluster-Client-Ip", "X-Envoy-External-Address", "True-Client-Ip"),
    *("Cf-Connecting-Ip", "Fastly-Client-Ip", "Fly-Client-Ip", "Tailscale-User-Login"),
)
_ORIGIN = re.compile(r"(https?)://([^/?#@\\\s]+)")
# A name or an address, in IPv6 with brackets, and a port.
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^\[\]:@/%,\s]+)(?::[0-9]*)?")
_DEFAULT_PORTS = {"http": 80, "https": 443}


def check_request(caller: Caller, gateway: GatewaySettings, is_upgrade: bool) -> None:
    """All that is refused because of where a request comes from, over HTTP and for a WebSocket upgrade alike.

    Raises HostNotAllowed, Forbidden and OriginNotAllowed, in this order.
    """
    check_host(caller.header("Host"), gateway)
    check_forwarding(caller, gateway)
    check_page(caller, gateway, is_upgrade)


def check_host(host: str | None, gateway: GatewaySettings) -> None:
    """Raise HostNotAllowed for a Host header that is not ours.

    Hosts are checked on a gateway without a secret, on one that listens on loopback with no reverse proxy
    before it, and wherever `gateway.allowedHosts` is set.
    """
    if not checks_hosts(gateway) or is_our_host(host, gateway):
        return
    raise HostNotAllowed(
        f"This gateway does not answer to the name {(host or '')[:100]!r}. gateway.allowedHosts lists the "
        "names it has; behind a reverse proxy on this machine, gateway.trustedProxies names the proxy."
    )


def checks_hosts(gateway: GatewaySettings) -> bool:
    """Whether this gateway answers to its own names alone."""
    if gateway.allowed_hosts or gateway.auth.mode == "none":
        return True
    return gateway.is_loopback and not gateway.trusted_proxies


def is_our_host(host: str | None, gateway: GatewaySettings) -> bool:
    """Whether a Host header names us. Loopback names always do: no page can redirect them."""
    written, name = (host or "").strip().lower(), _hostname(host)
    return _is_loopback_name(name) or name in gateway.allowed_hosts or written in gateway.allowed_hosts


def check_forwarding(caller: Caller, gateway: GatewaySettings) -> None:
    """On a gateway without a secret, raise Forbidden for a request that a proxy has forwarded."""
    if gateway.auth.mode != "none":
        return
    forwarded = next((name for name in FORWARDING if caller.header(name) is not None), None)
    if forwarded is not None:
        raise Forbidden(
            f"This request came through a proxy ({forwarded}), and the gateway has no secret. "
            "Set gateway.auth.token to serve others than this machine."
        )


def check_page(caller: Caller, gateway: GatewaySettings, is_upgrade: bool) -> None:
    """Raise OriginNotAllowed for a request of a web page that is neither our own nor listed.

    Such a page cannot send a secret that it does not know. But in the modes `none` and `trusted-proxy` its
    reader's browser has all that it takes, and over WebSocket no CORS keeps answers from the page.
    """
    if not is_upgrade and gateway.auth.mode not in ("none", "trusted-proxy"):
        return
    listed = gateway.control_ui.allowed_origins if is_upgrade else gateway.cors_origins
    origin, site = caller.header("Origin"), (caller.header("Sec-Fetch-Site") or "").lower()
    if origin in listed:
        return
    if site == "cross-site" or (origin is not None and not _is_own_origin(origin, caller, gateway)):
        setting = "gateway.controlUi.allowedOrigins" if is_upgrade else "gateway.http.cors.origins"
        raise OriginNotAllowed(
            f"Pages of {(origin or 'another site')[:100]} may not call this gateway. "
            f"{setting} lists those that may."
        )


def _is_own_origin(origin: str, caller: Caller, gateway: GatewaySettings) -> bool:
    """Whether a page is one of a name that this gateway serves."""
    found, mode = _ORIGIN.fullmatch(origin), gateway.auth.mode
    if found is None:
        return False
    scheme, netloc = found.groups()
    if mode == "none" and scheme == "https":  # no proxy may stand before it, so its own are never https
        return False
    if _with_port(netloc, scheme) == _with_port(caller.header("Host") or "", scheme):
        return True
    return mode == "trusted-proxy" and _is_proxied_origin(netloc, scheme, caller, gateway)


def _is_proxied_origin(netloc: str, scheme: str, caller: Caller, gateway: GatewaySettings) -> bool:
    """The same where a trusted proxy may have changed the Host header, or left its port out.

    A page of another site can set neither X-Forwarded-Host nor Sec-Fetch-Site.
    """
    netloc, name = netloc.lower(), _hostname(netloc)
    if name in gateway.allowed_hosts or netloc in gateway.allowed_hosts:
        return True
    hosts = [caller.header("Host") or ""]
    if is_trusted_proxy(caller.peer, gateway.trusted_proxies):
        hosts += (caller.header("X-Forwarded-Host") or "").split(",")
    if any(_with_port(host.strip(), scheme) == _with_port(netloc, scheme) for host in hosts):
        return True
    is_same = caller.header("Sec-Fetch-Site") == "same-origin"
    return is_same and bool(name) and any(_hostname(host) == name for host in hosts)


def _with_port(netloc: str, scheme: str) -> str:
    name = netloc.lower()
    has_port = ":" in name.rpartition("]")[2]
    return name if has_port else f"{name}:{_DEFAULT_PORTS[scheme]}"


def _hostname(host: str | None) -> str:
    """The name without its port, in lower case; empty for what is no name: `localhost@evil.example`."""
    found = _HOST.fullmatch((host or "").strip().lower())
    return found[1] if found else ""


@lru_cache(maxsize=64)
def _is_loopback_name(name: str) -> bool:
    return name == "localhost" or name.endswith(".localhost") or is_loopback(name)
