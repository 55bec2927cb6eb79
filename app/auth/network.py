"""Who is at the other end of a connection, and whom to believe about who is behind them. Pure."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def is_loopback(address: str) -> bool:
    parsed = parse_address(address)
    return parsed is not None and parsed.is_loopback


def is_trusted_proxy(address: str, trusted: tuple[str, ...]) -> bool:
    """Whether `address` is one of the configured proxies (addresses and CIDRs)."""
    parsed = parse_address(address)
    return parsed is not None and any(parsed in network for network in _networks(trusted))


def client_address(peer: str, forwarded_for: str | None, trusted: tuple[str, ...]) -> str:
    """The client's address: the peer's, or the nearest one that a trusted proxy vouches for.

    Read from the right: everything left of the first address that is no proxy of ours may be made up.
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
    """An address without its port or brackets; None if it is none. A mapped IPv4 address is that one."""
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


@lru_cache(maxsize=8)
def _networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(text, strict=False) for text in texts)
