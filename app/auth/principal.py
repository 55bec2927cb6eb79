"""Who is calling, once that is known."""

from __future__ import annotations

import msgspec

from app.auth.scopes import ALL


class Principal(msgspec.Struct, frozen=True):
    """An authenticated caller, and what it may do (`app.auth.grants`).

    The shared secret makes a full operator; `user` is one of several people whom a trusted proxy names.
    """

    kind: str  # "token" | "password" | "none" | "trusted-proxy" | "local"
    user: str | None = None
    scopes: frozenset[str] = frozenset()


LOCAL_OPERATOR = Principal("local", scopes=ALL)
