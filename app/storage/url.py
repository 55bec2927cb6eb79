"""`storage.url`: which file it names. Pure, so that it can be checked before a database is loaded."""

from __future__ import annotations

import re
from pathlib import Path

from app.errors import ConfigError

_URL = re.compile(
    r"(?P<scheme>[A-Za-z0-9+]+)://(?P<host>[^/?]*)(?:/(?P<database>[^?]*))?(?:\?.*)?", re.DOTALL
)


def sqlite_file(url: str) -> Path:
    """The file that `storage.url` names.

    Raises ConfigError. Its message never repeats the URL, which may hold a password.
    """
    parsed = _URL.fullmatch(url)
    if parsed is None:
        raise ConfigError("storage.url is not a database URL; write sqlite:////path/to/file")
    scheme = parsed["scheme"].partition("+")[0]
    if scheme in ("postgres", "postgresql"):
        raise ConfigError(
            "storage.url (or DATABASE_URL) names a PostgreSQL database, which this version cannot use; "
            "write sqlite:////path/to/file"
        )
    if scheme != "sqlite" or parsed["host"] or parsed["database"] in (None, "", ":memory:"):
        raise ConfigError("storage.url must name an SQLite file: sqlite:////path/to/file")
    return Path(parsed["database"]).absolute()
