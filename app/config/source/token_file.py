"""The token of a gateway whose operator has set none: random, made at the first `bin/serve`, and kept in the
state directory for its owner alone.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

NAME = "gateway-token"


def read_token(state_dir: Path) -> str | None:
    """The token, None if there is none."""
    try:
        return (state_dir / NAME).read_text("utf-8").strip() or None
    except (OSError, ValueError):
        return None


def make_token(state_dir: Path) -> str:
    """The token, made now if there is none. Two processes that make one at the same time get the same.

    Raises OSError if it cannot be kept.
    """
    state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = state_dir / NAME
    if not read_token(state_dir):
        new = file.with_name(f".{NAME}.{secrets.token_hex(6)}.tmp")
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as written:
            written.write(f"{secrets.token_urlsafe(32)}\n")
        try:
            os.link(new, file)  # unlike a rename, not over another's
            new.unlink()
        except FileExistsError:
            if read_token(state_dir):
                new.unlink()
            else:  # a blank one
                new.replace(file)
    file.chmod(0o600)
    return file.read_text("utf-8").strip()
