"""Who is calling, once that is known."""

from __future__ import annotations

import msgspec

from app.auth.scopes import ALL


class Principal(msgspec.Struct, frozen=True):
    """An authenticated caller, and what it may do (`app.auth.grants`).

    The shared secret makes a full operator; `user` is one of several people whom a trusted proxy names, and
    has sessions of its own unless it `is_admin`. `scopes` may be fewer than the caller could have asked for;
    whose sessions it uses does not depend on them.
    """

    kind: str  # "token" | "password" | "none" | "trusted-proxy" | "local"
    user: str | None = None
    scopes: frozenset[str] = frozenset()
    is_admin: bool = False

    @property
    def owner(self) -> str | None:
        """Whose sessions, runs and usage the caller has; None for an operator, who has all."""
        return None if self.is_admin else self.user


LOCAL_OPERATOR = Principal("local", scopes=ALL)
