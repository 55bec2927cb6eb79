"""The parts of a request to a provider that are the same for all: its target, and most of its headers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote, urlsplit

from app.providers.http.proxy import Origin, Proxy

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")  # all but the tab
_KEPT = "/?%:@&=+$,;~*'()!-._[]|"  # of a URL: all else is percent-encoded


def merge_headers(*mappings: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Each header once, whatever the case of its name: the name in lower case -> name and value. The last
    mapping that has a header gives its value.

    Raises ValueError for a header that would be more than one line.
    """
    merged: dict[str, tuple[str, str]] = {}
    for name, value in (item for mapping in mappings for item in mapping.items()):
        if _CONTROL.search(name + value):
            raise ValueError(f"the header {name!r} has a control character")
        merged[name.lower()] = (name, value)
    return merged


def common_head(headers: Mapping[str, str], origin: Origin, proxy: Proxy | None) -> bytes:
    """The lines of the headers that each request has. `headers` take precedence over the gateway's own, but
    for those that say where the request goes and how long it is."""
    own = {"User-Agent": "openclaw-gateway", "Content-Type": "application/json"}
    fixed = {"Host": origin.authority}
    if proxy is not None and not origin.tls and proxy.authorization is not None:
        fixed["Proxy-Authorization"] = proxy.authorization
    merged = merge_headers(own, headers, fixed)
    merged.pop("content-length", None)  # it differs from request to request
    return "".join(f"{name}: {value}\r\n" for name, value in merged.values()).encode("utf-8")


def request_target(base_url: str, origin: Origin, proxy: Proxy | None) -> tuple[str, str]:
    """What goes before and after the path below the base URL; a proxy is asked for whole URLs."""
    url = urlsplit(base_url)
    path, query = quote(url.path.rstrip("/"), safe=_KEPT), quote(url.query, safe=_KEPT)
    if proxy is not None and not origin.tls:
        path = f"http://{origin.authority}{path}"
    return path, f"?{query}" if query else ""
