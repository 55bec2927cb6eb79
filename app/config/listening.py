"""Where a gateway listens: which addresses only this machine can reach. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import lru_cache

# As gunicorn has them: a host and a port (IPv6 has more), the path of a Unix socket, or a file descriptor.
Address = tuple[object, ...] | str | bytes | int


@lru_cache(maxsize=64)
def is_loopback_host(host: str) -> bool:
    """Whether only this machine can reach a gateway that listens on `host`. A Unix socket is not meant: what
    stands before it may serve everybody.
    """
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def widest_host(addresses: Iterable[Address]) -> str:
    """The host of the address that most can reach, `127.0.0.1` if there is none."""
    hosts = [str(one[0]) if isinstance(one, tuple) else f"a socket ({one!r})" for one in addresses]
    return next((host for host in hosts if not is_loopback_host(host)), hosts[0] if hosts else "127.0.0.1")
