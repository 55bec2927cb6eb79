"""Images in a request: data URIs, or http(s) URLs where they are allowed (contract, HTTP section 6)."""

from __future__ import annotations

import binascii
import re
from collections.abc import Sequence

from app.concurrency.deadline import time_limit
from app.config.settings import ChatCompletionsSettings
from app.errors import InvalidRequest, UnsupportedValue
from app.media.fetch import INTERNET, Network, fetch_image, too_slow
from app.media.kinds import require_allowed, require_image
from app.messages import ImagePart

_DATA_URI = re.compile(r"data:(?P<mime>[\w.+-]+/[\w.+-]+)(?:;[\w.+=-]+)*?;base64,", re.ASCII | re.IGNORECASE)
_WEB = ("http://", "https://")
MAX_FETCHES = 32
MiB = 1024 * 1024


class ImageBudget:
    """How much a request's images take up of what it may have. Remembers what was fetched for it."""

    def __init__(self, limits: ChatCompletionsSettings) -> None:
        self.limits = limits
        self.fetched: dict[str, ImagePart] = {}
        self._total = 0

    def add(self, size: int, path: str) -> None:
        if size > self.limits.images.max_bytes:
            raise InvalidRequest(
                f"`{path}`: an image may have at most {self.limits.images.max_bytes / MiB:g} MiB.", param=path
            )
        self._total += size
        if self._total > self.limits.max_total_image_bytes:
            raise InvalidRequest(
                f"`{path}`: the images of a request may have at most "
                f"{self.limits.max_total_image_bytes / MiB:g} MiB together.",
                param=path,
            )


def check_image_count(messages: Sequence[object], most: int) -> None:
    """The newest user message may have only so many images; counted before any of them is looked at."""
    for index in range(len(messages) - 1, -1, -1):
        message = messages[index]
        if isinstance(message, dict) and message.get("role") == "user":
            if _image_count(message.get("content")) > most:
                path = f"messages[{index}].content"
                raise InvalidRequest(f"`{path}`: a message may have at most {most} images.", param=path)
            return


def _image_count(content: object) -> int:
    parts = content if isinstance(content, list) else []
    return sum(isinstance(part, dict) and part.get("type") == "image_url" for part in parts)


def load_image(raw: object, path: str, budget: ImageBudget, network: Network = INTERNET) -> ImagePart:
    """The image behind `image_url`, an object or a string. Raises InvalidRequest for anything unfit."""
    url = raw.get("url") if isinstance(raw, dict) else raw
    if not isinstance(url, str) or not url.strip():
        raise InvalidRequest(f"`{path}.url` must be a non-empty string.", param=path)
    url = url.strip()
    if url[:8].lower().startswith(_WEB):
        return _from_web(url, path, budget, network)
    return _from_data_uri(url, path, budget)


def _from_web(url: str, path: str, budget: ImageBudget, network: Network) -> ImagePart:
    limits = budget.limits.images
    if not limits.allow_url:
        raise UnsupportedValue(
            f"`{path}`: images by URL are not fetched here; send the image as a data URI, or have "
            "gateway.http.endpoints.chatCompletions.images.allowUrl set.",
            param=path,
        )
    if (image := budget.fetched.get(url)) is None:
        if len(budget.fetched) >= MAX_FETCHES:
            raise InvalidRequest(
                f"`{path}`: a request may name at most {MAX_FETCHES} images by URL.", param=path
            )
        with time_limit(limits.timeout_seconds, too_slow(path, limits)):  # a slow name server, too
            mime, content = fetch_image(url, path, limits, network)
        image = ImagePart(mime, binascii.b2a_base64(content, newline=False).decode("ascii"))
        budget.fetched[url] = image
    budget.add(_decoded_size(image.data), path)
    return image


def _from_data_uri(url: str, path: str, budget: ImageBudget) -> ImagePart:
    match = _DATA_URI.match(url)
    if match is None:
        raise InvalidRequest(f"`{path}` must be a base64 data URI (`data:image/png;base64,…`).", param=path)
    allowed = budget.limits.images.allowed_mimes
    require_allowed(match["mime"], allowed, path)
    data = url[match.end() :]
    budget.add(_decoded_size(data), path)
    try:
        content = binascii.a2b_base64(data, strict_mode=True)
    except ValueError as error:
        raise InvalidRequest(f"`{path}` is not valid base64.", param=path) from error
    if not content:
        raise InvalidRequest(f"`{path}` is an empty image.", param=path)
    return ImagePart(require_image(content, allowed, path), data)


def _decoded_size(data: str) -> int:
    return len(data) * 3 // 4 - data[-2:].count("=")
