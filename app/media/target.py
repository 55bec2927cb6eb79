"""A URL -> where to connect and what to request, or a refusal. Pure: nothing is resolved here.

A URL that two parsers could understand differently is refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from urllib.parse import SplitResult, quote, urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443}
FIRST_UNPRIVILEGED_PORT = 1024
_UNFIT = re.compile(r"[\x00-\x20\x7f\\]")
_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(\.(?!-)[a-z0-9_-]{1,63})*", re.ASCII)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)
_AUTHORITY = re.compile(r"(\[[^\[\]]+\]|[^\[\]:]+)(:[0-9]*)?", re.ASCII)
_URL_LETTERS = "!#$%&'()*+,/:;=?@[]~"


class Unfetchable(Exception):
    """Why an image cannot be fetched, as the end of a sentence. Has no address but those the caller sent."""


@dataclass(frozen=True, slots=True)
class Target:
    """`host` is lower-case ASCII, an IPv6 address without brackets; `path` is percent-encoded."""

    tls: bool
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = DEFAULT_PORTS["https" if self.tls else "http"]
        return host if self.port == usual else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.authority}{self.path}"


def load_target(url: str, allowlist: Sequence[str]) -> Target:
    """The target of an http(s) URL. Raises Unfetchable for any other, or a host that is not on the allowlist.

    An empty allowlist allows all hosts.
    """
    split = _split(url)
    host = load_host(split.hostname or "")
    if allowlist and not any(_matches(host, entry) for entry in allowlist):
        raise Unfetchable("its host is not in `images.urlAllowlist`")
    path = quote(split.path or "/", safe=_URL_LETTERS)
    if split.query:
        path += "?" + quote(split.query, safe=_URL_LETTERS)
    return Target(split.scheme == "https", host, _port(split), path)


def load_host(host: str) -> str:
    """A host name or IP address in canonical form. Raises Unfetchable for an ambiguous or malformed one."""
    if ":" in host:
        return _ipv6(host)
    name = _ascii(host).removesuffix(".")
    if len(name) > 253 or not _NAME.fullmatch(name):
        raise Unfetchable("its host is not a valid name")
    if _NUMBER.fullmatch(name.rpartition(".")[2]):
        return _ipv4(name)
    return name


def _split(url: str) -> SplitResult:
    if _UNFIT.search(url):
        raise Unfetchable("the URL has spaces, control characters or backslashes in it")
    try:
        split = urlsplit(url)
    except ValueError as error:
        raise Unfetchable("the URL is malformed") from error
    if split.scheme not in DEFAULT_PORTS or not split.netloc:
        raise Unfetchable("only http and https URLs are fetched")
    if "@" in split.netloc:
        raise Unfetchable("the URL must not have a user name or password in it")
    if not _AUTHORITY.fullmatch(split.netloc):
        raise Unfetchable("the URL's host or port is malformed")
    return split


def _port(split: SplitResult) -> int:
    """80, 443 and the unprivileged ports: on the others are mail servers, SSH and the like."""
    try:
        given = split.port
    except ValueError as error:
        raise Unfetchable("the URL's port is malformed") from error
    port = DEFAULT_PORTS[split.scheme] if given is None else given
    if port < FIRST_UNPRIVILEGED_PORT and port not in DEFAULT_PORTS.values():
        raise Unfetchable(f"images are not fetched from port {port}")
    return port


def _ascii(host: str) -> str:
    if host.isascii():
        return host.lower()
    try:
        return host.encode("idna").decode("ascii").lower()
    except UnicodeError as error:
        raise Unfetchable("its host is not a valid name") from error


def _ipv4(host: str) -> str:
    # Some resolvers take `127.1`, `0x7f.1` and `2130706433` for 127.0.0.1, so only four decimal numbers pass.
    try:
        return str(IPv4Address(host))
    except AddressValueError as error:
        raise Unfetchable("its IP address is not written as four plain numbers") from error


def _ipv6(host: str) -> str:
    try:
        address = IPv6Address(host)
    except AddressValueError as error:
        raise Unfetchable("its IPv6 address is malformed") from error
    if address.scope_id is not None:
        raise Unfetchable("its IPv6 address has a zone")
    return str(address)


def _matches(host: str, entry: str) -> bool:
    """`example.com` is that host only, `*.example.com` every subdomain of it."""
    below = entry.startswith("*.")
    name = entry[2:] if below else entry
    try:
        wanted = load_host(name.strip().strip("[]").lower())
    except Unfetchable:
        return False
    return host.endswith("." + wanted) if below else host == wanted
