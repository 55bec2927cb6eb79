"""`view_image`: shows the model pictures of the workspace."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta

from app.errors import UnsupportedValue
from app.media.kinds import require_image
from app.media.location import Location
from app.messages import ImagePart
from app.tools.base import Invocation, Tool, ToolError, ToolOutput, define_tool
from app.tools.files.files import Files
from app.tools.parameters import Parameters

MAX_IMAGES = 20
MAX_TOTAL_BYTES = 20 * 1024 * 1024
MiB = 1024 * 1024


class ViewImage(Parameters):
    path: Annotated[str, Meta(description="The picture, in the workspace.")] | None = None
    paths: Annotated[list[str], Meta(description="Several pictures.", max_length=MAX_IMAGES)] | None = None
    prompt: Annotated[str, Meta(description="What to look for.")] | None = None
    max_bytes_mb: Annotated[float, Meta(description="Refuse larger ones than this many MiB.")] | None = None
    max_images: Annotated[float, Meta(description="Refuse more pictures than this.")] | None = None


def view_image() -> Tool:
    return define_tool(
        "view_image",
        "Look at pictures (JPEG, PNG, GIF, WebP) of the workspace.",
        ViewImage,
        _view,
        summary="look at pictures",
        is_parallel=True,
        only_reads=True,
    )


def _view(call: Invocation, given: ViewImage) -> ToolOutput:
    paths = list(dict.fromkeys([*([given.path] if given.path else []), *(given.paths or [])]))
    if not paths:
        raise ToolError("Give `path` or `paths`.")
    most = int(_within(given.max_images, MAX_IMAGES))
    if len(paths) > most:
        raise ToolError(f"At most {most} pictures can be looked at in one call.")
    limits = call.run.settings().gateway.chat_completions.images
    largest = min(limits.max_bytes, int(_within(given.max_bytes_mb, MAX_TOTAL_BYTES / MiB) * MiB))
    images = _load(Files(call.run), paths, largest, limits.allowed_mimes)
    text = "\n".join(f"{path}: {image.mime}" for path, image in zip(paths, images, strict=True))
    return ToolOutput(f"{text}\n{given.prompt}" if given.prompt else text, images=images)


def _within(given: float | None, most: float) -> float:
    return min(max(given or most, 0), most)


def _load(files: Files, paths: Sequence[str], largest: int, mimes: Sequence[str]) -> tuple[ImagePart, ...]:
    images, total = [], 0
    for path in paths:
        content = files.read(path, largest)
        total += len(content)
        if total > MAX_TOTAL_BYTES:
            raise ToolError(f"The pictures have more than {MAX_TOTAL_BYTES // MiB} MiB together.")
        try:
            mime = require_image(content, mimes, Location(path))
        except UnsupportedValue as error:
            raise ToolError(error.message) from None
        images.append(ImagePart(mime, base64.b64encode(content).decode()))
    return tuple(images)
