"""Fetch an image that a request names by URL, without access to the local network (docs/images.md#by-url).

This is the defence against server-side request forgery (SSRF). A name is resolved once, all its addresses
must be public, and the connection goes to the address that was checked, so that a name which resolves
differently a second time (DNS rebinding) gains nothing. Redirects are followed here, with the same checks. No
proxy, no cookies, no credentials are used.
"""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple
from urllib.parse import quote, urljoin, urlsplit

import certifi

from app.config.settings import ImageSettings
from app.errors import InvalidRequest
from app.media.addresses import is_public
from app.media.connection import Deadline, PinnedConnection
from app.media.kinds import readable, require_image
from app.media.location import Location
from app.media.target import Target, Unfetchable, load_target

REDIRECTS = (301, 302, 303, 307, 308)
MAX_ADDRESSES = 4
MiB = 1024 * 1024


class FetchedImage(NamedTuple):
    mime: str
    content: bytes


def resolve(host: str, port: int) -> list[str]:
    """All IP addresses of a host. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


@cache
def trusted_tls() -> ssl.SSLContext:
    """Made once: loading the certificate authorities blocks the event loop for some 30 ms."""
    return ssl.create_default_context(cafile=certifi.where())


@dataclass(frozen=True, slots=True)
class Network:
    """How names are resolved, which addresses may be connected to, and the TLS context; replaced in tests."""

    resolve: Callable[[str, int], Sequence[str]] = resolve
    is_public: Callable[[str], bool] = is_public
    tls: Callable[[], ssl.SSLContext] = trusted_tls


INTERNET = Network()


def fetch_image(
    url: str, where: Location, limits: ImageSettings, network: Network = INTERNET
) -> FetchedImage:
    """The image at `url`; `where` in the request it is named.

    Takes at most `limits.timeout_seconds`, redirects included (the time to resolve a name counts, but the
    lookup cannot be interrupted from here). Raises InvalidRequest.
    """
    try:
        content = _follow(url, limits, network, Deadline(limits.timeout_seconds))
    except TimeoutError as error:
        raise too_slow(where, limits) from error
    except Unfetchable as error:
        raise where.error(f"the image cannot be fetched: {error}") from error
    return FetchedImage(require_image(content, limits.allowed_mimes, where), content)


def too_slow(where: Location, limits: ImageSettings) -> InvalidRequest:
    """The error for a fetch that has used up its time."""
    return where.error(f"the image could not be fetched within {limits.timeout_seconds:g} s")


def _follow(url: str, limits: ImageSettings, network: Network, deadline: Deadline) -> bytes:
    for _ in range(limits.max_redirects + 1):
        target = load_target(url, limits.url_allowlist)
        with _answer(target, limits, network, deadline) as response:
            if response.status not in REDIRECTS:
                return _read(response, limits.max_bytes)
            url = _next_url(response, target)
    raise Unfetchable(f"it is redirected more than {limits.max_redirects} times")


@contextmanager
def _answer(
    target: Target, limits: ImageSettings, network: Network, deadline: Deadline
) -> Iterator[http.client.HTTPResponse]:
    connection = _connect(target, network, deadline)
    try:
        connection.request("GET", target.path, headers=_headers(target, limits))
        yield connection.getresponse()
    except TimeoutError:
        raise
    except (OSError, http.client.HTTPException) as error:
        raise Unfetchable("its host broke off or does not speak HTTP") from error
    finally:
        connection.hang_up()


def _headers(target: Target, limits: ImageSettings) -> dict[str, str]:
    return {
        "Host": target.authority,
        "User-Agent": "openclaw-gateway",
        "Accept": ", ".join(readable(limits.allowed_mimes)) or "image/*",
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
    try:
        addresses = network.resolve(target.host, target.port)
    except (OSError, UnicodeError) as error:
        raise Unfetchable("its host name is not known") from error
    if not addresses:
        raise Unfetchable("its host name is not known")
    if not all(network.is_public(address) for address in addresses):
        raise Unfetchable("its host is not on the public internet")
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


def _read(response: http.client.HTTPResponse, most: int) -> bytes:
    """The body, of at most `most` bytes, whatever its headers say. Raises Unfetchable."""
    if response.status != 200:
        raise Unfetchable(f"its host answered with status {response.status}")
    if response.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity"):
        raise Unfetchable("its host sends it compressed though asked not to")
    too_large = Unfetchable(f"it is larger than {most / MiB:g} MiB")
    if response.length is not None and response.length > most:
        raise too_large
    content = response.read(most + 1)
    if len(content) > most:
        raise too_large
    if response.length:
        raise Unfetchable("its host broke off in the middle of it")
    return content
