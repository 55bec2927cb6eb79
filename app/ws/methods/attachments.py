"""Pictures beside a message: `attachments` of `agent` and `chat.send`."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from app.messages import ImagePart, TextPart
from app.ws.params import Params

MAX_IMAGES = 8
MAX_BYTES = 10 * 1024 * 1024


def user_content(message: str, params: Params) -> str | tuple[TextPart | ImagePart, ...]:
    """The user's text, with its pictures behind it. Raises InvalidRequest for what is no picture."""
    given = params.given.get("attachments")
    if not given:
        return message
    if not isinstance(given, list) or len(given) > MAX_IMAGES:
        raise params.wrong("at /attachments", f"must be an array of at most {MAX_IMAGES} images")
    return (TextPart(message), *(_image(one, index, params) for index, one in enumerate(given)))


def _image(raw: Any, index: int, params: Params) -> ImagePart:
    where = f"at /attachments/{index}"
    mime = raw.get("mimeType") if isinstance(raw, dict) else None
    content = raw.get("content") if isinstance(raw, dict) else None
    if not isinstance(mime, str) or not mime.startswith("image/") or not isinstance(content, str):
        raise params.wrong(where, "must have an image's mimeType and base64 content")
    data = content.partition(",")[2] if content.startswith("data:") else content
    try:
        size = len(base64.b64decode(data, validate=True))
    except (binascii.Error, ValueError) as error:
        raise params.wrong(where, "content must be base64") from error
    if not 0 < size <= MAX_BYTES:
        raise params.wrong(where, "must be an image of at most 10 MiB")
    return ImagePart(mime.lower(), data)
