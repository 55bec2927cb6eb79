"""Images beside a message: `attachments` of `agent`, `chat.send` and `sessions.create`."""

from __future__ import annotations

from typing import Any

from app.media.images import ImageBudget, load_base64_image
from app.media.location import Location
from app.messages import ImagePart, TextPart
from app.ws.call import Call
from app.ws.params import Params


def user_content(message: str, call: Call) -> str | tuple[TextPart | ImagePart, ...]:
    """The user's text, followed by the attached images. Raises InvalidRequest for an unfit attachment."""
    params = call.params
    given = params.given.get("attachments")
    if not given:
        return message
    if not isinstance(given, list):
        raise params.wrong("at /attachments", "must be an array of images")
    budget = ImageBudget(call.gateway.settings.gateway.chat_completions)
    budget.check_count(len(given), Location(params.prefix("at /attachments")))
    return (TextPart(message), *(_image(one, index, params, budget) for index, one in enumerate(given)))


def _image(raw: Any, index: int, params: Params, budget: ImageBudget) -> ImagePart:
    where = f"at /attachments/{index}"
    label = raw.get("mimeType") if isinstance(raw, dict) else None
    content = raw.get("content") if isinstance(raw, dict) else None
    if not (isinstance(label, str) and label[:6].lower() == "image/" and isinstance(content, str)):
        raise params.wrong(where, "must have an image's mimeType and base64 content")
    data = content.partition(",")[2] if content.startswith("data:") else content
    return load_base64_image(data, label, Location(params.prefix(where)), budget)
