"""The readable text of a page, made by a child process (`extract_child.py`)."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Literal

import msgspec
import orjson

from app.cancel import Cancel
from app.tools.base import ToolError

MAX_AT_ONCE = 2  # child processes: each takes a third of a second of CPU and more
CHILD = Path(__file__).with_name("extract_child.py")

_slots = threading.BoundedSemaphore(MAX_AT_ONCE)


class Readable(msgspec.Struct, frozen=True):
    title: str | None = None
    text: str | None = None


def read_html(
    html: bytes, url: str, form: Literal["markdown", "text"], cancel: Cancel, *, main_part: bool
) -> Readable:
    """The text of a page; with `main_part` without menus and the like. Raises ToolError."""
    command = [sys.executable, "-I", str(CHILD), url, form, "main" if main_part else "all"]
    with _slots:
        child = subprocess.Popen(  # noqa: S603
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={}
        )
        try:
            with cancel.waking(child.kill):
                output, _ = child.communicate(html)
        finally:
            child.kill()
            child.wait()
    if child.returncode != 0:
        raise ToolError("The page could not be read: it is too large or malformed.")
    return msgspec.convert(orjson.loads(output), Readable)
