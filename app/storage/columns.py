"""Types of columns that both databases store alike, though SQLite minds neither lengths nor sizes."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Integer, String, Text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import GenericFunction
from sqlalchemy.types import TypeEngine

# An INTEGER of SQLite has 64 bits already, and only one of that name numbers rows by itself.
LONG = BigInteger().with_variant(Integer(), "sqlite")


def short_text(usual: int) -> TypeEngine[str]:
    """Text of mostly no more than `usual` characters. PostgreSQL would refuse more: there it has no limit."""
    return String(usual).with_variant(Text(), "postgresql")


class stored_size(GenericFunction[int]):  # noqa: N801
    """About how long a text is, found without reading all of it: in characters, or in bytes of PostgreSQL."""

    type = Integer()
    inherit_cache = True


@compiles(stored_size)
def _characters(element: Any, compiler: Any, **options: Any) -> str:
    return f"length({compiler.process(element.clauses, **options)})"


@compiles(stored_size, "postgresql")
def _bytes(element: Any, compiler: Any, **options: Any) -> str:
    return f"octet_length({compiler.process(element.clauses, **options)})"
