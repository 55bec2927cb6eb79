"""Checks of addresses, names and URLs. Each returns the normalized string or raises ValidationError."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

from marshmallow import ValidationError

_AGENT_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_PROVIDER_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")
_HOST_NAME = re.compile(r"[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9_])?")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")  # all but the tab
_AROUND = " \t\r\n\f\v\xa0\u200b\ufeff"  # with the blanks that nobody sees, and the byte order mark
_NOT_IN_URLS = re.compile(r"[\s\x00-\x1f\x7f-\x9f]")
_SECRET_PARAMETER = re.compile(r"(^|&)[^=&]*(pass|secret|token|key|auth|sig|code)[^=&]*=", re.IGNORECASE)
_DEFAULT_PORTS = {"http": 80, "https": 443}


def filled(text: str) -> str:
    """Not empty and not only white space."""
    if not text.strip():
        raise ValidationError("must not be blank")
    return text


def agent_id(text: str) -> str:
    """An agent's id, in lower case."""
    if not _AGENT_ID.fullmatch(text.strip().lower()):
        raise ValidationError(
            "must be letters, digits, `_` and `-`, at most 64, and not begin with `_` or `-`"
        )
    return text.strip().lower()


def provider_name(text: str) -> str:
    """A provider's name, in lower case."""
    if not _PROVIDER_NAME.fullmatch(text.strip().lower()):
        raise ValidationError("must be letters, digits, `.`, `_` and `-`, at most 64: no slash, no space")
    return text.strip().lower()


def header_name(text: str) -> str:
    """The name of an HTTP header (a token of RFC 9110, section 5.6.2), in lower case."""
    if not _HEADER_NAME.fullmatch(text):
        raise ValidationError("is not the name of an HTTP header")
    return text.lower()


def header_value(text: str) -> str:
    """The value of an HTTP header, without white space around it (RFC 9110, section 5.5)."""
    return secret(text)


def secret(text: str) -> str:
    """A key, token or password, without the blanks and line ends around it that copying and files add."""
    tidy = text.strip(_AROUND)
    if "\r" in tidy or "\n" in tidy:
        raise ValidationError("must be one line")
    if _CONTROL.search(tidy):
        raise ValidationError("must not contain control characters")
    return tidy


def network(text: str) -> str:
    """An IP address or a network in CIDR notation."""
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValidationError('must be an address or a CIDR such as "10.0.0.0/8"') from None
    return text


def host(text: str) -> str:
    """A host name or IP address to listen on."""
    name = text.strip().lower()
    try:
        return str(ipaddress.ip_address(name.strip("[]")))
    except ValueError:
        if not _HOST_NAME.fullmatch(name):
            raise ValidationError('must be an address or a host name such as "192.168.1.5"') from None
    return name


def allowed_host(text: str) -> str:
    """A name in a `Host` header, with or without a port."""
    name = text.lower()
    bare = re.sub(r":\d{1,5}$", "", name) if name.count(":") < 2 or name.startswith("[") else name
    host(bare)
    return name


def origin(text: str) -> str:
    """An origin, `scheme://host[:port]`, as a browser sends it (RFC 6454, section 6.2)."""
    parts = _split(text)
    hint = 'must be one exact origin such as "https://chat.example.com", without a path'
    if "*" in text:
        raise ValidationError(f"{hint}; `*` is not supported")
    is_bare = not (parts.path or parts.query or parts.fragment or "@" in parts.netloc)
    if not re.fullmatch(r"[a-z][a-z0-9+.-]*", parts.scheme) or not parts.hostname or not is_bare:
        raise ValidationError(hint)
    port = _port(parts)
    name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    shown = "" if port is None or _DEFAULT_PORTS.get(parts.scheme) == port else f":{port}"
    return f"{parts.scheme}://{name}{shown}"


def base_url(text: str) -> str:
    """A provider's base URL, without a slash at its end, and without the path that the gateway adds itself.

    It may have a query, such as Azure's `?api-version=2024-10-21`, which is sent with each request.
    """
    parts = _split(text.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname or _NOT_IN_URLS.search(text.strip()):
        raise ValidationError('must be an http or https URL such as "https://api.example.com/v1"')
    if "@" in parts.netloc:
        raise ValidationError("must not contain a user or password; use `apiKey` or `headers`")
    _host_name(parts)
    if parts.fragment or _SECRET_PARAMETER.search(parts.query):
        raise ValidationError(
            "must end with its path: no `?` and no `#`, but for parameters such as `?api-version=…`; "
            "send a key with `apiKey` or `headers`"
        )
    _port(parts)
    path = parts.path.rstrip("/").removesuffix("/chat/completions").rstrip("/")
    return parts._replace(path=path).geturl()


def mcp_url(text: str) -> str:
    """The URL of an MCP server, as it is: its query may have a key, and is never shown."""
    parts = _split(text.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname or _NOT_IN_URLS.search(text.strip()):
        raise ValidationError('must be an http or https URL such as "https://mcp.example.com/mcp"')
    if "@" in parts.netloc:
        raise ValidationError("must not contain a user or password; use `headers`")
    _host_name(parts)
    _port(parts)
    return parts._replace(fragment="").geturl()


def proxy(text: str) -> str:
    """The URL of an HTTP proxy, with or without `http://` and a user and password, or `direct`."""
    written = text.strip()
    if written == "direct":
        return written
    parts = _split(written if "://" in written else f"http://{written}")
    is_bare = parts.path in ("", "/") and not parts.query and not parts.fragment
    if parts.scheme != "http" or not parts.hostname or not is_bare or _NOT_IN_URLS.search(written):
        raise ValidationError('must be an HTTP proxy such as "http://proxy.example.com:3128", or "direct"')
    _port(parts)
    _host_name(parts)
    return f"http://{parts.netloc}"


def remote_url(text: str) -> str:
    """The URL of another gateway."""
    parts = _split(text.strip())
    is_address = parts.scheme in ("ws", "wss", "http", "https") and parts.hostname and "@" not in parts.netloc
    if not is_address or _NOT_IN_URLS.search(text.strip()):
        raise ValidationError('must be a URL such as "wss://gateway.example.com"')
    _port(parts)
    return text.strip()


def storage_url(text: str) -> str:
    """A database's URL with the driver this project uses; Heroku writes `postgres://`."""
    scheme, separator, rest = text.strip().partition("://")
    if separator and scheme in ("postgres", "postgresql", "postgresql+psycopg"):
        return f"postgresql+psycopg://{rest}"
    if separator and scheme in ("sqlite", "sqlite+pysqlite"):
        return f"sqlite://{rest}"
    raise ValidationError("must begin with `sqlite:///`, `postgresql://` or `postgres://`")


def with_tls(url: str) -> str:
    """A PostgreSQL URL that says how to use TLS: as on a dyno, whose databases are reached over open networks
    and have signed their certificates themselves, if it does not say so already.
    """
    if not url.startswith("postgresql") or "sslmode=" in url:
        return url
    return f"{url}{'&' if '?' in url else '?'}sslmode=require"


def redis_url(text: str) -> str:
    """The URL of a Redis server, as redis-py reads it."""
    if not re.match(r"(redis|rediss|unix)://\S+$", text.strip()):
        raise ValidationError("must begin with `redis://`, `rediss://` or `unix://`")
    return text.strip()


def _split(text: str) -> SplitResult:
    try:
        return urlsplit(text)
    except ValueError:
        raise ValidationError("is not a URL") from None


def _host_name(parts: SplitResult) -> None:
    """Refuse a name that cannot be looked up (RFC 5891), such as one with a part of more than 63 letters."""
    try:
        (parts.hostname or "").encode("idna")
    except UnicodeError:
        raise ValidationError("has no valid host name") from None


def _port(parts: SplitResult) -> int | None:
    try:
        return parts.port
    except ValueError:
        raise ValidationError("has no valid port: a port is from 1 to 65535") from None
