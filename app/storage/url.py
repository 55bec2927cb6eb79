"""`storage.url`: which database it names. Pure, so that it can be checked before a database is loaded.

No message here repeats the URL, or a part of it that may be the password.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qsl, unquote

from app.errors import ConfigError

_URL = re.compile(
    r"(?P<scheme>[A-Za-z0-9+]+)://(?:(?P<user>[^/?]*)@)?(?P<host>[^/?@]*)(?:/(?P<database>[^?]*))?"
    r"(?:\?(?P<parameters>.*))?",
    re.DOTALL,
)
_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.%]+\]|[^:\[\]]*)(?::(?P<port>\d{0,5}))?")
_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_NEITHER = "write sqlite:////path/to/file or postgresql://user:password@host/database"

# Of libpq's parameters (PostgreSQL's documentation, "Parameter Key Words") those that say where a database is
# and how it is connected with; what the connection is like inside is the gateway's own.
PARAMETERS = frozenset(
    (
        *("host", "hostaddr", "port", "dbname", "user", "password", "passfile", "connect_timeout"),
        *("keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout"),
        *("sslmode", "sslrootcert", "sslcert", "sslkey", "sslpassword", "sslcrl", "sslcrldir", "sslsni"),
        *("sslnegotiation", "ssl_min_protocol_version", "ssl_max_protocol_version", "sslcertmode"),
        *("requiressl", "sslcompression", "channel_binding", "require_auth", "requirepeer"),
        *("gssencmode", "krbsrvname", "gsslib", "service", "servicefile"),
        *("target_session_attrs", "load_balance_hosts", "application_name", "options", "client_encoding"),
    )
)


def is_postgres(url: str) -> bool:
    """Whether it names a PostgreSQL database."""
    return url.partition("://")[0].partition("+")[0] in ("postgres", "postgresql")


def check_url(url: str) -> None:
    """Raise ConfigError if it names no database that the gateway can use."""
    if is_postgres(url):
        postgres_parameters(url)
    else:
        sqlite_file(url)


def sqlite_file(url: str) -> Path:
    """The file that `storage.url` names. Raises ConfigError: it names none."""
    parsed = _URL.fullmatch(url)
    if parsed is None:
        raise ConfigError(f"storage.url is not a database URL; {_NEITHER}")
    names_file = parsed["database"] not in (None, "", ":memory:") and not parsed["host"]
    if parsed["scheme"].partition("+")[0] != "sqlite" or parsed["user"] is not None or not names_file:
        raise ConfigError(f"storage.url must name an SQLite file or a PostgreSQL database; {_NEITHER}")
    return Path(parsed["database"]).absolute()


def postgres_parameters(url: str) -> Mapping[str, str]:
    """libpq's parameters for the PostgreSQL database that `storage.url` names. Several hosts are joined by
    commas, as libpq has them. Raises ConfigError.
    """
    parsed = _URL.fullmatch(url)
    if parsed is None or not is_postgres(url):
        raise _not_postgres("it is not a database URL")
    if _PERCENT.search(url.partition("://")[2]):
        raise _not_postgres("a % in it is not followed by two hexadecimal digits; write %25 for a % itself")
    found = _where(parsed) | _parameters(parsed["parameters"] or "")
    if not found.get("dbname") and "service" not in found:
        raise _not_postgres("it names no database")
    if any("\0" in value for value in found.values()):
        raise _not_postgres("it has a NUL character in it")
    return found


def shown_place(url: str) -> str:
    """Where the database is, for people: its file, or its hosts and name. No user, password or parameter."""
    if not is_postgres(url):
        return str(sqlite_file(url))
    found = postgres_parameters(url)
    hosts = found.get("host") or found.get("hostaddr", "")
    ports = f":{found['port']}" if found.get("port") else ""
    return f"postgresql://{hosts}{ports}/{found.get('dbname', '')}"


def _where(parsed: re.Match[str]) -> dict[str, str]:
    user, _, password = (parsed["user"] or "").partition(":")
    places = [_HOST.fullmatch(one) for one in parsed["host"].split(",")]
    if any(place is None or int(place["port"] or 0) > 65535 for place in places):
        raise _not_postgres("its host or port is malformed; write %3A for : and %40 for @ in a password")
    names = [unquote(place["name"]).strip("[]") for place in places if place]
    ports = [place["port"] or "" for place in places if place]
    found = {"user": unquote(user), "password": unquote(password)}
    found["dbname"] = unquote(parsed["database"] or "")
    found["host"] = ",".join(names) if any(names) else ""
    found["port"] = ",".join(ports) if any(ports) else ""
    return {name: value for name, value in found.items() if value}


def _parameters(text: str) -> dict[str, str]:
    found = dict(parse_qsl(text.replace("+", "%2B"), keep_blank_values=True))
    if found.pop("ssl", "") == "true":  # as JDBC and some hosts write it
        found.setdefault("sslmode", "require")
    if unknown := sorted(found.keys() - PARAMETERS):
        named = ", ".join(name for name in unknown if found[name] and re.fullmatch("[A-Za-z_]{1,30}", name))
        raise _not_postgres(f"it has parameters that PostgreSQL's clients do not know: {named}".rstrip(": "))
    return found


def _not_postgres(why: str) -> ConfigError:
    return ConfigError(
        f"storage.url (or DATABASE_URL) names no PostgreSQL database: {why}. "
        "Write postgresql://user:password@host/database"
    )
