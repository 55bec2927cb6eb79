"""What an MCP server returns, as a tool's output: text and images for the model. Pure.

Servers are not trusted: what they send is bounded, and what an image is shows in its bytes, not in its label.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable
from typing import Any

import orjson

from app.media.kinds import image_mime
from app.messages import ImagePart
from app.tools.base import ToolOutput

MAX_PARTS = 500
MAX_IMAGES = 8
MAX_IMAGE_BYTES = 8 * 1024 * 1024
MAX_TEXT = 400_000  # characters, before the cap of all tools
MAX_DETAILS = 64 * 1024  # bytes of structured content that programs get
IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp")  # that models read

_HEAD = 64  # characters of base64 that are enough to know an image
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]")


def clean(text: object, limit: int) -> str:
    """Text of a server without control characters, at most `limit` characters; "" for what is none."""
    if not isinstance(text, str):
        return ""
    tidy = _CONTROL.sub(" ", text[: limit + 1])
    return tidy if len(tidy) <= limit else f"{tidy[: limit - 1]}…"


class _Collector:
    def __init__(self) -> None:
        self.texts: list[str] = []
        self.images: list[ImagePart] = []
        self._left = MAX_TEXT

    def add(self, text: str) -> None:
        if len(text) > self._left:
            text = text[: self._left] + "\n[The rest was left out.]" if self._left else ""
        self._left = max(0, self._left - len(text))
        if text:
            self.texts.append(text)

    def add_image(self, data: Any, label: Any) -> None:
        """Add an image, or a note in its place."""
        if not isinstance(data, str) or not data:
            return self.add("[an image without data]")
        if len(data) * 3 // 4 > MAX_IMAGE_BYTES:
            return self.add(f"[an image of more than {MAX_IMAGE_BYTES // 2**20} MiB was left out]")
        if len(self.images) >= MAX_IMAGES:
            return self.add(f"[an image beyond the first {MAX_IMAGES} was left out]")
        try:
            content = binascii.a2b_base64(data[:_HEAD])
            binascii.a2b_base64(data, strict_mode=True)
        except (ValueError, UnicodeEncodeError):
            return self.add("[an image that is not valid base64 was left out]")
        mime = image_mime(content)
        if mime not in IMAGES:
            return self.add(f"[data labelled {clean(label, 60) or 'image'} that no model reads was left out]")
        self.images.append(ImagePart(mime, data))
        return None


def tool_output(result: dict[str, Any], server: str, tool: str) -> ToolOutput:
    """The answer to `tools/call`: the structured content first, then the parts in their order."""
    found = _Collector()
    structured = result.get("structuredContent")
    if structured is not None:
        found.add(f"structuredContent:\n{_json(structured)}")
    parts = result.get("content")
    parts = parts if isinstance(parts, list) else []
    for part in parts[:MAX_PARTS]:
        if isinstance(part, dict) and not _repeats(part, structured):
            _add_part(found, part)
    if len(parts) > MAX_PARTS:
        found.add(f"[{len(parts) - MAX_PARTS} more parts were left out]")
    details: dict[str, Any] = {"server": server, "mcpTool": tool}
    if structured is not None and len(_json(structured)) <= MAX_DETAILS:
        details["structuredContent"] = structured
    text = "\n".join(found.texts) or ("(an image)" if found.images else "(no output)")
    return ToolOutput(text, details, tuple(found.images), result.get("isError") is True)


def _add_part(found: _Collector, part: dict[str, Any]) -> None:
    match part.get("type"):
        case "text":
            found.add(_text(part.get("text")))
        case "image":
            found.add_image(part.get("data"), part.get("mimeType"))
        case "audio":
            found.add(f"[audio, {clean(part.get('mimeType'), 60) or 'of unknown type'}, is not shown]")
        case "resource":
            _add_resource(found, part.get("resource"))
        case "resource_link":
            about = [clean(part.get(key), 300) for key in ("uri", "name", "mimeType", "description")]
            found.add(f"Resource link: {' · '.join(filter(None, about))}")
        case kind:
            found.add(f"[content of the unknown type {clean(kind, 40)!r} is not shown]")


def _add_resource(found: _Collector, resource: Any) -> None:
    if not isinstance(resource, dict):
        return
    uri, mime = clean(resource.get("uri"), 500), clean(resource.get("mimeType"), 60)
    if isinstance(resource.get("text"), str):
        found.add(f"Resource {uri}:\n{resource['text']}")
    elif mime.startswith("image/"):
        found.add(f"Resource {uri}:")
        found.add_image(resource.get("blob"), mime)
    else:
        found.add(f"[resource {uri} ({mime or 'binary'}) is not text and is not shown]")


def resource_output(result: dict[str, Any], server: str) -> ToolOutput:
    """The answer to `resources/read`."""
    found = _Collector()
    contents = result.get("contents")
    for one in contents[:MAX_PARTS] if isinstance(contents, list) else ():
        _add_resource(found, one)
    text = "\n".join(found.texts) or "(empty)"
    return ToolOutput(text, {"server": server}, tuple(found.images))


def prompt_output(result: dict[str, Any], server: str) -> ToolOutput:
    """The answer to `prompts/get`: each message with who says it."""
    found = _Collector()
    messages = result.get("messages")
    for one in messages[:MAX_PARTS] if isinstance(messages, list) else ():
        if isinstance(one, dict):
            found.add(f"{clean(one.get('role'), 20) or 'message'}:")
            content = one.get("content")
            for part in content if isinstance(content, list) else [content]:
                if isinstance(part, dict):
                    _add_part(found, part)
    return ToolOutput("\n".join(found.texts) or "(empty)", {"server": server}, tuple(found.images))


def listing(rows: Iterable[Any], keys: tuple[str, ...]) -> list[dict[str, Any]]:
    """The rows of a list with the given keys alone, for the model."""
    kept = []
    for row in rows:
        if isinstance(row, dict):
            one: dict[str, Any] = {key: clean(row[key], 500) for key in keys if isinstance(row.get(key), str)}
            if isinstance(row.get("arguments"), list):
                one["arguments"] = listing(row["arguments"][:50], ("name", "description"))
            kept.append(one)
    return kept


def _repeats(part: dict[str, Any], structured: Any) -> bool:
    """Whether a text is the structured content once more, as servers send it for older clients."""
    text = part.get("text")
    if structured is None or part.get("type") != "text" or not isinstance(text, str) or text[:1] not in "{[":
        return False
    try:
        return bool(orjson.loads(text) == structured)
    except orjson.JSONDecodeError:
        return False


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
