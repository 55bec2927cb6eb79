"""Network addresses: which are loopback or a trusted proxy, and which is the client's. Pure."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def is_loopback(address: str) -> bool:
    """Whether `address` is one of this machine's loopback addresses."""
    parsed = parse_address(address)
    return parsed is not None and parsed.is_loopback


def is_trusted_proxy(address: str, trusted: tuple[str, ...]) -> bool:
    """Whether `address` is one of the configured proxies (addresses and CIDRs)."""
    parsed = parse_address(address)
    return parsed is not None and any(parsed in network for network in _networks(trusted))


def client_address(peer: str, forwarded_for: str | None, trusted: tuple[str, ...]) -> str:
    """The client's address: the peer's, or the nearest one in X-Forwarded-For that a trusted proxy has added.

    The header is read from the right: what stands left of the first address that is not a trusted proxy may
    be forged.
    """
    address = peer
    for hop in reversed((forwarded_for or "").split(",")):
        if not is_trusted_proxy(address, trusted):
            break
        parsed = parse_address(hop.strip())
        if parsed is None:
            break
        address = str(parsed)
    return address


def parse_address(text: str) -> Address | None:
    """The address in `text`, without port and brackets; None if there is none.

    An IPv4 address that is mapped into IPv6 is returned as IPv4.
    """
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def address_group(address: str) -> str:
    """What is counted as one client: an IPv4 address, or the /64 of an IPv6 address."""
    parsed = parse_address(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed or "unknown")


@lru_cache(maxsize=8)
def _networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(text, strict=False) for text in texts)
