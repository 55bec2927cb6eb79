"""Fetch what a URL names, without access to the local network (docs/images.md#by-url, docs/tools.md#the-web).

This is the defence against server-side request forgery (SSRF). A name is resolved once, all its addresses
must be public, and the connection goes to the address that was checked, so that a name which resolves
differently a second time (DNS rebinding) gains nothing. Redirects are followed here, with the same checks. No
proxy, no cookies, no credentials are used.
"""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple
from urllib.parse import quote, urljoin, urlsplit

import certifi

from app.media.addresses import is_public
from app.media.connection import Deadline, PinnedConnection
from app.media.target import Target, Unfetchable, load_target

REDIRECTS = (301, 302, 303, 307, 308)
MAX_ADDRESSES = 4
MiB = 1024 * 1024


def resolve(host: str, port: int) -> list[str]:
    """All IP addresses of a host. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


@cache
def trusted_tls() -> ssl.SSLContext:
    """Made once: loading the certificate authorities blocks the event loop for some 30 ms."""
    return ssl.create_default_context(cafile=certifi.where())


def by_address(_host: str) -> bool | None:
    return None


@dataclass(frozen=True, slots=True)
class Network:
    """How names are resolved, which addresses may be connected to, and the TLS context; replaced in tests.

    `may_reach(host)` says of a host whether it may be reached whatever its address is; None leaves it to the
    address.
    """

    resolve: Callable[[str, int], Sequence[str]] = resolve
    is_public: Callable[[str], bool] = is_public
    tls: Callable[[], ssl.SSLContext] = trusted_tls
    may_reach: Callable[[str], bool | None] = by_address


INTERNET = Network()


class Blocked(Unfetchable):
    """The host may not be reached, by its name or its address."""


class FetchRules(NamedTuple):
    """How a URL is fetched. `max_bytes` of the body are read: a longer one is refused, or cut if `cuts`.

    An empty `allowlist` allows all hosts. `any_status`: an answer other than 200 is one, too.
    """

    max_bytes: int
    max_redirects: int
    timeout_seconds: float
    accept: str
    user_agent: str = "openclaw-gateway"
    allowlist: Sequence[str] = ()
    cuts: bool = False
    any_status: bool = False


class Fetched(NamedTuple):
    """`url` is the last one, after redirects; `kind` the Content-Type as it was sent."""

    url: str
    status: int
    kind: str
    content: bytes
    is_cut: bool


def fetch(
    url: str, rules: FetchRules, network: Network = INTERNET, headers: Mapping[str, str] | None = None
) -> Fetched:
    """What is at `url`. `headers` go to its host alone, not where it redirects to.

    Takes at most `rules.timeout_seconds`, redirects included (the time to resolve a name counts, but the
    lookup cannot be interrupted from here). Raises TimeoutError and Unfetchable.
    """
    deadline = Deadline(rules.timeout_seconds)
    own = dict(headers or {})
    for _ in range(rules.max_redirects + 1):
        target = load_target(url, rules.allowlist)
        with _answer(target, rules, network, deadline, own) as response:
            if response.status not in REDIRECTS:
                return _read(response, target, rules)
            url = _next_url(response, target)
        own = {}
    raise Unfetchable(f"it is redirected more than {rules.max_redirects} times")


@contextmanager
def _answer(
    target: Target, rules: FetchRules, network: Network, deadline: Deadline, headers: Mapping[str, str]
) -> Iterator[http.client.HTTPResponse]:
    connection = _connect(target, network, deadline)
    try:
        connection.request("GET", target.path, headers={**_headers(target, rules), **headers})
        yield connection.getresponse()
    except TimeoutError:
        raise
    except (OSError, http.client.HTTPException) as error:
        raise Unfetchable("its host broke off or does not speak HTTP") from error
    finally:
        connection.hang_up()


def _headers(target: Target, rules: FetchRules) -> dict[str, str]:
    return {
        "Host": target.authority,
        "User-Agent": rules.user_agent,
        "Accept": rules.accept,
        "Accept-Encoding": "identity",
        "Connection": "close",
    }


def _connect(target: Target, network: Network, deadline: Deadline) -> PinnedConnection:
    """A connection to the first address that accepts one. All are checked before the first is tried."""
    addresses = _checked_addresses(target, network)[:MAX_ADDRESSES]
    tls = network.tls() if target.tls else None
    failure: OSError | None = None
    for tried, address in enumerate(addresses):
        connection = PinnedConnection(target, address, deadline, tls)
        left = deadline.left()
        try:
            connection.open(left / (len(addresses) - tried))
            return connection
        except OSError as error:
            connection.hang_up()
            failure = error
    if isinstance(failure, TimeoutError):
        raise failure
    if isinstance(failure, ssl.SSLError):
        raise Unfetchable("its host has no valid TLS certificate") from failure
    raise Unfetchable("its host cannot be reached") from failure


def _checked_addresses(target: Target, network: Network) -> Sequence[str]:
    allowed = network.may_reach(target.host)
    if allowed is False:
        raise Blocked("its host is blocked")
    try:
        addresses = network.resolve(target.host, target.port)
    except (OSError, UnicodeError) as error:
        raise Unfetchable("its host name is not known") from error
    if not addresses:
        raise Unfetchable("its host name is not known")
    if not allowed and not all(network.is_public(address) for address in addresses):
        raise Blocked("its host is not on the public internet")
    return addresses


def _next_url(response: http.client.HTTPResponse, target: Target) -> str:
    location = response.headers.get("Location")
    if not location:
        raise Unfetchable("its host redirects to nowhere")
    # http.client decodes header bytes as Latin-1; those beyond ASCII are percent-encoded again.
    ascii_only = quote(location.encode("latin-1", "replace"), safe="".join(map(chr, range(33, 127))))
    try:
        # A URL with a scheme is absolute; urljoin would turn a malformed `http:///x` into one that works.
        return ascii_only if urlsplit(ascii_only).scheme else urljoin(target.url, ascii_only)
    except ValueError as error:
        raise Unfetchable("its host redirects to a malformed URL") from error


def _read(response: http.client.HTTPResponse, target: Target, rules: FetchRules) -> Fetched:
    """The body, whatever its headers say. Raises Unfetchable."""
    if response.status != 200 and not rules.any_status:
        raise Unfetchable(f"its host answered with status {response.status}")
    if response.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity"):
        raise Unfetchable("its host sends it compressed though asked not to")
    too_large = Unfetchable(f"it is larger than {rules.max_bytes / MiB:g} MiB")
    if not rules.cuts and response.length is not None and response.length > rules.max_bytes:
        raise too_large
    content = response.read(rules.max_bytes + 1)
    is_cut = len(content) > rules.max_bytes
    if is_cut and not rules.cuts:
        raise too_large
    if response.length and not is_cut:
        raise Unfetchable("its host broke off in the middle of it")
    kind = response.headers.get("Content-Type", "")
    return Fetched(target.url, response.status, kind, content[: rules.max_bytes], is_cut)
