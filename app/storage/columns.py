"""Types of columns that both databases store alike, though SQLite minds neither lengths nor sizes."""

from __future__ import annotations

from sqlalchemy import BigInteger, Integer, String, Text
from sqlalchemy.types import TypeEngine

# An INTEGER of SQLite has 64 bits already, and only one of that name numbers rows by itself.
LONG = BigInteger().with_variant(Integer(), "sqlite")


def short_text(usual: int) -> TypeEngine[str]:
    """Text of mostly no more than `usual` characters. PostgreSQL would refuse more: there it has no limit."""
    return String(usual).with_variant(Text(), "postgresql")
