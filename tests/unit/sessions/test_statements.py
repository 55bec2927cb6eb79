"""The statements of the store are nobody's dialect: what one database can compile, another can."""

from __future__ import annotations

from types import ModuleType

import pytest
from sqlalchemy import ClauseElement
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.expression import Executable

from app.sessions import index, maintenance, statements, transcripts, usage


def statements_of(module: ModuleType) -> dict[str, ClauseElement]:
    return {
        f"{module.__name__}.{name}": value
        for name, value in vars(module).items()
        if isinstance(value, Executable) and isinstance(value, ClauseElement)
    }


ALL = {
    name: statement
    for module in (index, maintenance, statements, transcripts, usage)
    for name, statement in statements_of(module).items()
}


def test_they_are_found():
    assert len(ALL) > 30
    assert "app.sessions.statements.HISTORY" in ALL


@pytest.mark.parametrize("name", sorted(ALL))
@pytest.mark.parametrize("dialect", [sqlite.dialect(), postgresql.dialect()], ids=lambda one: one.name)
def test_any_database_can_compile_them(name, dialect):
    assert str(ALL[name].compile(dialect=dialect))
