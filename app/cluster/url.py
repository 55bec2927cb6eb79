"""`redis.url`: whether it can be used, and how. Pure, so that it can be checked before anything connects."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from app.errors import ConfigError

MAX_DATABASE = 65_535  # servers have 16 by default; each says itself which it has

_NAMES = "redis.url (or REDIS_URL)"
_EXAMPLE = "write redis://host:6379/0, rediss://host:6380/0 (TLS) or unix:///path/to/socket"
# What may stand behind the `?`, with what a right value looks like. The rest of redis-py's options are ours.
_OPTIONS: Mapping[str, re.Pattern[str]] = {
    "db": re.compile(r"\d{1,5}"),
    "client_name": re.compile(r"[!-~]+"),
    "ssl_cert_reqs": re.compile(r"none|required"),
    "ssl_check_hostname": re.compile(r"true|false", re.IGNORECASE),
    "ssl_ca_certs": re.compile(r".+"),
}


def check_redis_url(url: str | None) -> None:
    """Raise ConfigError if no client could connect with this URL; None is no Redis, which is fine.

    The message never repeats the URL, which may hold a password.
    """
    if url is None:
        return
    parts = _split(url)
    _SCHEMES[parts.scheme](parts)
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        _check_option(name, value)
        if name.startswith("ssl_") and parts.scheme != "rediss":
            raise _refusal(f"has the option `{name}`, which needs TLS: write rediss://")


def redis_options(url: str, ssl_verify: bool) -> dict[str, Any]:
    """What `redis.Redis.from_url` has to be given beside the URL. An option in the URL itself wins."""
    if urlsplit(url).scheme != "rediss" or ssl_verify:
        return {}
    return {"ssl_cert_reqs": "none"}


def connection_failure(error: Exception) -> str:
    """Why there is no connection, for the log, with what to do if the server's certificate is the reason."""
    why = str(error)
    if "certificate verify failed" not in why.lower():
        return why
    return (
        f"{why}. If the server has signed its own certificate, as Heroku's has: OPENCLAW_REDIS_SSL_VERIFY=0, "
        "or redis.sslVerify: false in the configuration; ?ssl_ca_certs=FILE in the URL names an authority"
    )


def shown_redis_url(url: str) -> str:
    """The URL for logs and messages: scheme, host, port and database, without user, password and options."""
    parts = _split(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _refusal(
            "has no valid host and port; `/`, `#`, `?`, `@` and `:` in a password are written as %2F, %23, "
            "%3F, %40 and %3A"
        ) from None
    if parts.scheme not in _SCHEMES:
        raise _refusal(f"must begin with redis://, rediss:// or unix://; {_EXAMPLE}")
    if port == 0:
        raise _refusal("has port 0; a port is from 1 to 65535")
    if "#" in url:
        raise _refusal("has a `#`; in a password write %23")
    return parts


def _check_network(parts: SplitResult) -> None:
    if not parts.hostname:
        raise _refusal(f"names no host; {_EXAMPLE}")
    database = unquote(parts.path).strip("/")
    # redis-py takes what is no number for database 0, and says nothing.
    if database and not (database.isdecimal() and database.isascii() and int(database) <= MAX_DATABASE):
        raise _refusal("must end with the number of a database, such as /0")


def _check_socket(parts: SplitResult) -> None:
    if parts.hostname or not parts.path.startswith("/") or parts.path == "/":
        raise _refusal("names no socket; write unix:///path/to/socket, with three slashes")


_SCHEMES: Mapping[str, Callable[[SplitResult], None]] = {
    "redis": _check_network,
    "rediss": _check_network,
    "unix": _check_socket,
}


def _check_option(name: str, value: str) -> None:
    pattern = _OPTIONS.get(name)
    if pattern is None:
        # The name itself may be part of a password with a `?` in it.
        raise _refusal(f"has an option that is not supported; there are {', '.join(_OPTIONS)}")
    if not pattern.fullmatch(value):
        raise _refusal(f"has a value of `{name}` that is not possible")


def _refusal(what: str) -> ConfigError:
    return ConfigError(f"{_NAMES} {what}.")
