"""Which database a URL names, and what is said about one that names none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from app.errors import ConfigError
from app.storage.url import check_url, is_postgres, postgres_parameters, shown_place, sqlite_file

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_a_postgresql_database(scheme: str) -> None:
    url = f"{scheme}://ann:p%40ss%2Fw:rd@db.example.com:6432/chats?sslmode=require&connect_timeout=3"
    assert is_postgres(url)
    check_url(url)
    assert postgres_parameters(url) == {
        "host": "db.example.com",
        "port": "6432",
        "user": "ann",
        "password": "p@ss/w:rd",
        "dbname": "chats",
        "sslmode": "require",
        "connect_timeout": "3",
    }
    assert shown_place(url) == "postgresql://db.example.com:6432/chats"


@pytest.mark.parametrize(
    ("url", "parameters"),
    [
        ("postgres://h/d", {"host": "h", "dbname": "d"}),
        ("postgres://h1:1,h2:2/d", {"host": "h1,h2", "port": "1,2", "dbname": "d"}),
        ("postgres://[::1]:5/d", {"host": "::1", "port": "5", "dbname": "d"}),
        ("postgres:///d?host=/run/postgresql", {"host": "/run/postgresql", "dbname": "d"}),
        ("postgres://%2Frun%2Fpg/d", {"host": "/run/pg", "dbname": "d"}),
        ("postgres://u:a@b@h/d", {"host": "h", "user": "u", "password": "a@b", "dbname": "d"}),
        ("postgres://h/d?ssl=true", {"host": "h", "dbname": "d", "sslmode": "require"}),
        ("postgres://h/d?options=-ca%3Dx+y", {"host": "h", "dbname": "d", "options": "-ca=x+y"}),
    ],
)  # fmt: skip
def test_ways_to_write_one(url: str, parameters: dict[str, str]) -> None:
    assert postgres_parameters(url) == parameters


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("postgres://u:hunter2@h", "names no database"),
        ("postgres://u:hunter2@h/", "names no database"),
        ("postgres://u:hunter2%@h/d", "write %25"),
        ("postgres://u:hunt/er2@h/d", "malformed"),
        ("postgres://u:hunter2@h:port/d", "malformed"),
        ("postgres://u:hunter2@h:70000/d", "malformed"),
        ("postgres://u:hunter2@h/d?colour=1", "do not know: colour"),
        ("postgres://u@h/d?hunter2", "do not know"),
        ("postgres://u:hunter2@h/d%00", "NUL"),
        ("mysql://u:hunter2@h/d", "SQLite file or a PostgreSQL"),
        ("hunter2", "not a database URL"),
        ("sqlite:///:memory:", "SQLite file"),
        ("sqlite://hunter2/x", "SQLite file"),
        ("", "database URL"),
    ],
)
def test_what_names_none_is_refused_without_its_password(url: str, why: str) -> None:
    with pytest.raises(ConfigError, match=r"storage\.url") as refusal:
        check_url(url)
    assert why in refusal.value.message
    assert "hunter2" not in refusal.value.message
    assert "er2" not in refusal.value.message


def test_an_sqlite_file() -> None:
    assert sqlite_file("sqlite:////var/x.sqlite") == Path("/var/x.sqlite")
    assert shown_place("sqlite:////var/x.sqlite") == "/var/x.sqlite"
    with pytest.raises(ConfigError, match="SQLite file"):
        sqlite_file("postgresql://u:hunter2@h/d")


def test_who_has_an_sqlite_file_loads_nothing_of_postgresql() -> None:
    program = """
import sys
from app.bootstrap import build_database
build_database("sqlite:////tmp/x.sqlite")
print([name for name in sys.modules if name.startswith(("psycopg", "app.storage.postgres"))])
"""
    found = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert found.stdout == "[]\n", found.stderr
