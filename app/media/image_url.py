"""An image that a request names by URL (docs/images.md#by-url)."""

from __future__ import annotations

from typing import NamedTuple

from app.config.settings import ImageSettings
from app.errors import InvalidRequest
from app.media.fetch import INTERNET, FetchRules, Network, fetch
from app.media.kinds import readable, require_image
from app.media.location import Location
from app.media.target import Unfetchable


class FetchedImage(NamedTuple):
    mime: str
    content: bytes


def fetch_image(
    url: str, where: Location, limits: ImageSettings, network: Network = INTERNET
) -> FetchedImage:
    """The image at `url`; `where` in the request it is named. Raises InvalidRequest."""
    rules = FetchRules(
        max_bytes=limits.max_bytes,
        max_redirects=limits.max_redirects,
        timeout_seconds=limits.timeout_seconds,
        accept=", ".join(readable(limits.allowed_mimes)) or "image/*",
        allowlist=limits.url_allowlist,
    )
    try:
        content = fetch(url, rules, network).content
    except TimeoutError as error:
        raise too_slow(where, limits) from error
    except Unfetchable as error:
        raise where.error(f"the image cannot be fetched: {error}") from error
    return FetchedImage(require_image(content, limits.allowed_mimes, where), content)


def too_slow(where: Location, limits: ImageSettings) -> InvalidRequest:
    """The error for a fetch that has used up its time."""
    return where.error(f"the image could not be fetched within {limits.timeout_seconds:g} s")
