"""The HTTP proxy of each provider: from its entry in the file, else from the environment.

The variables are those of curl, Python and Go: `HTTPS_PROXY` for https, `HTTP_PROXY` for http, and `NO_PROXY`
for hosts that are reached directly; the names in lower case take precedence. This machine is always reached
directly, unless the file names a proxy for it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from marshmallow import ValidationError

from app.config.schema import checks

DIRECT = "direct"  # the `proxy` of a provider that is reached without one


def proxy_for(base_url: str, environ: Mapping[str, str]) -> str | None:
    """The URL of the proxy that the environment names for that address, None for none.

    Raises ValidationError, which names the variable.
    """
    url = urlsplit(base_url)
    host = (url.hostname or "").rstrip(".")
    if _is_local(host) or _is_exempt(host, url.port or (443 if url.scheme == "https" else 80), environ):
        return None
    for name in (f"{url.scheme}_proxy", "all_proxy"):
        for variable in (name, name.upper()):
            if written := environ.get(variable, "").strip():
                try:
                    return checks.proxy(written)
                except ValidationError as error:
                    raise ValidationError(f"{variable}: {error.messages[0]}") from error
    return None


def _is_local(host: str) -> bool:
    address = _address(host)
    if address is not None:
        return address.is_loopback or address.is_unspecified
    return host == "localhost" or host.endswith(".localhost")


def _is_exempt(host: str, port: int, environ: Mapping[str, str]) -> bool:
    """Whether `NO_PROXY` has the host: `*`, a name with all below it, an address, a network, with a port."""
    written = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    return any(_matches(entry.lower(), host, port) for entry in re.split(r"[\s,]+", written) if entry)


def _matches(entry: str, host: str, port: int) -> bool:
    if entry == "*":
        return True
    address = _address(host)
    if address is not None and "/" in entry:
        return address in _network(entry)
    found = re.fullmatch(r"(\[.+\]|[^:]+):([0-9]+)", entry)
    name, only_port = (found[1], int(found[2])) if found else (entry, port)
    if only_port != port:
        return False
    if address is not None:
        return _address(name.strip("[]")) == address
    name = name.removeprefix("*").strip(".")
    return bool(name) and (host == name or host.endswith(f".{name}"))


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _network(written: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """The network; one without members if it is none, so that a mistake in `NO_PROXY` exempts nothing."""
    try:
        return ipaddress.ip_network(written, strict=False)
    except ValueError:
        return ipaddress.ip_network("0.0.0.0/32")
