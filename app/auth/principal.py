"""Who is calling, once that is known."""

from __future__ import annotations

import msgspec


class Principal(msgspec.Struct, frozen=True):
    """An authenticated caller. The shared secret makes a full operator; `user` is set by a trusted proxy."""

    kind: str  # "token" | "password" | "none" | "trusted-proxy" | "local"
    user: str | None = None


LOCAL_OPERATOR = Principal("local")
