"""Pictures in a request: data URIs of the allowed types, checked and counted (contract, HTTP section 6)."""

from __future__ import annotations

import binascii
import re
from collections.abc import Sequence

from app.config.settings import ChatCompletionsSettings
from app.errors import InvalidRequest, UnsupportedValue
from app.messages import ImagePart, Message

_DATA_URI = re.compile(r"data:(?P<mime>[\w.+-]+/[\w.+-]+)(?:;[\w.+=-]+)*?;base64,", re.ASCII | re.IGNORECASE)
MiB = 1024 * 1024


class ImageBudget:
    """How much a request's images take up of what it may have."""

    def __init__(self, limits: ChatCompletionsSettings) -> None:
        self.limits = limits
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

    def check_newest(self, messages: Sequence[Message]) -> None:
        """The newest user message may have only so many images."""
        newest = next((one for one in reversed(messages) if one.role == "user"), None)
        most = self.limits.max_image_parts
        if newest is not None and len(newest.images) > most:
            raise InvalidRequest(f"A message may have at most {most} images.", param="messages")


def load_image(raw: object, path: str, budget: ImageBudget) -> ImagePart:
    """The image behind `image_url`, an object or a string. Raises InvalidRequest for anything unfit."""
    url = raw.get("url") if isinstance(raw, dict) else raw
    if not isinstance(url, str) or not url.strip():
        raise InvalidRequest(f"`{path}.url` must be a string.", param=path)
    url = url.strip()
    if url[:8].lower().startswith(("http://", "https://")):
        raise UnsupportedValue(f"`{path}`: images by URL are not allowed here; send a data URI.", param=path)
    return _from_data_uri(url, path, budget)


def _from_data_uri(url: str, path: str, budget: ImageBudget) -> ImagePart:
    match = _DATA_URI.match(url)
    if match is None:
        raise InvalidRequest(f"`{path}` must be a base64 data URI (`data:image/png;base64,…`).", param=path)
    mime = match["mime"].lower().replace("image/jpg", "image/jpeg")
    allowed = budget.limits.images.allowed_mimes
    if mime not in allowed:
        raise UnsupportedValue(
            f"`{path}`: images of type {mime[:60]} are not allowed; allowed: {', '.join(allowed)}.",
            param=path,
        )
    data = url[match.end() :]
    budget.add(len(data) * 3 // 4 - data[-2:].count("="), path)
    try:
        content = binascii.a2b_base64(data, strict_mode=True)
    except (ValueError, binascii.Error) as error:
        raise InvalidRequest(f"`{path}` is not valid base64.", param=path) from error
    if not content:
        raise InvalidRequest(f"`{path}` is an empty image.", param=path)
    return ImagePart(mime, data)
