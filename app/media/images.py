"""The one reader of images in requests, for HTTP and for WebSocket.

An image comes as base64 text with a label, as a data URI, or as an http(s) URL where these are allowed. The
same limits hold for all (docs/images.md#limits), and the same check: the media type is read from the bytes,
never from the label.
"""

from __future__ import annotations

import binascii
import re

from app.concurrency.deadline import time_limit
from app.config.settings import ChatCompletionsSettings
from app.errors import UnsupportedValue
from app.media.fetch import INTERNET, Network
from app.media.image_url import fetch_image, too_slow
from app.media.kinds import require_allowed, require_image
from app.media.location import Location
from app.messages import ImagePart

_DATA_URI = re.compile(r"data:(?P<mime>[\w.+-]+/[\w.+-]+)(?:;[\w.+=-]+)*?;base64,", re.ASCII | re.IGNORECASE)
_WEB = ("http://", "https://")
MAX_FETCHES = 32
MiB = 1024 * 1024


class ImageBudget:
    """What the images of one request may still take up. Remembers what was fetched for it."""

    def __init__(self, limits: ChatCompletionsSettings) -> None:
        self.limits = limits
        self.fetched: dict[str, ImagePart] = {}
        self._total = 0

    def check_count(self, count: int, where: Location) -> None:
        """Raises InvalidRequest if a message has more images than it may."""
        if count > self.limits.max_image_parts:
            raise where.error(f"a message may have at most {self.limits.max_image_parts} images")

    def add(self, size: int, where: Location) -> None:
        """Count an image of `size` bytes. Raises InvalidRequest if it, or all together, are too large."""
        if size > self.limits.images.max_bytes:
            raise where.error(f"an image may have at most {self.limits.images.max_bytes / MiB:g} MiB")
        self._total += size
        if self._total > self.limits.max_total_image_bytes:
            most = f"{self.limits.max_total_image_bytes / MiB:g} MiB"
            raise where.error(f"the images of a request may have at most {most} together")


def load_image_url(
    raw: object, where: Location, budget: ImageBudget, network: Network = INTERNET
) -> ImagePart:
    """The image behind an OpenAI `image_url`, an object with `url` or a string.

    Raises InvalidRequest, or UnsupportedValue for a type or a way of sending that is not accepted.
    """
    url = raw.get("url") if isinstance(raw, dict) else raw
    if not isinstance(url, str) or not url.strip():
        raise where.error("`url` must be a non-empty string")
    url = url.strip()
    if url[:8].lower().startswith(_WEB):
        return _from_web(url, where, budget, network)
    match = _DATA_URI.match(url)
    if match is None:
        raise where.error("it must be a base64 data URI (`data:image/png;base64,…`)")
    return load_base64_image(url[match.end() :], match["mime"], where, budget)


def load_base64_image(data: str, label: str, where: Location, budget: ImageBudget) -> ImagePart:
    """The image that `data` encodes, with its real media type; `label` is the type that the caller names.

    Raises InvalidRequest for what is too large, empty or no base64, and UnsupportedValue for a label, or a
    real type, that is not accepted.
    """
    allowed = budget.limits.images.allowed_mimes
    require_allowed(label, allowed, where)
    budget.add(_decoded_size(data), where)
    try:
        content = binascii.a2b_base64(data, strict_mode=True)
    except ValueError as error:
        raise where.error("the image is not valid base64") from error
    if not content:
        raise where.error("the image is empty")
    return ImagePart(require_image(content, allowed, where), data)


def _from_web(url: str, where: Location, budget: ImageBudget, network: Network) -> ImagePart:
    limits = budget.limits.images
    if not limits.allow_url:
        raise where.error(
            "images by URL are not fetched here; send the image as a data URI, or have "
            "gateway.http.endpoints.chatCompletions.images.allowUrl set",
            UnsupportedValue,
        )
    if (image := budget.fetched.get(url)) is None:
        if len(budget.fetched) >= MAX_FETCHES:
            raise where.error(f"a request may name at most {MAX_FETCHES} images by URL")
        with time_limit(limits.timeout_seconds, too_slow(where, limits)):  # a slow name server, too
            mime, content = fetch_image(url, where, limits, network)
        image = ImagePart(mime, binascii.b2a_base64(content, newline=False).decode("ascii"))
        budget.fetched[url] = image
    budget.add(_decoded_size(image.data), where)
    return image


def _decoded_size(data: str) -> int:
    return len(data) * 3 // 4 - data[-2:].count("=")
