"""How much of a disk tools leave to the gateway, whose database has to go on."""

from __future__ import annotations

import logging
import os

from app.logs.lines import log_event
from app.tools.base import ToolError

MIN_FREE_BYTES = 256 * 1024 * 1024  # or a twentieth of a small disk

logger = logging.getLogger("app.tools")


def refuse_full_disk(folder: int) -> None:
    """Raise ToolError if the disk of the folder with that descriptor is nearly full."""
    found = os.fstatvfs(folder)
    kept = min(MIN_FREE_BYTES, found.f_blocks * found.f_frsize // 20)
    if found.f_bavail * found.f_frsize < kept:
        where = os.readlink(f"/proc/self/fd/{folder}")
        log_event(logger, logging.WARNING, "nothing was written: the disk is nearly full", folder=where)
        raise ToolError("The disk is nearly full: nothing was written. Delete what is not needed.")
