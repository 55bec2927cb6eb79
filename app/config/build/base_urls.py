"""The base URLs of providers that the environment names, as their own packages read the same variables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from marshmallow import ValidationError

from app.config.build.catalogue import OLLAMA_PORT, CatalogueEntry
from app.config.schema import checks

_VERSION = re.compile(r"/v[0-9][a-z0-9]*(/|$)")


def base_url_from(environ: Mapping[str, str], entry: CatalogueEntry) -> str | None:
    """The base URL that the environment has for that provider, None if it has none.

    Raises ValidationError, which names the variable: the provider's key must then go nowhere.
    """
    for variable in entry.base_variables:
        written = environ.get(variable, "").strip()
        if not written:
            continue
        try:
            return _completed(written, entry.added_path) if entry.variable else _ollama(written)
        except ValidationError as error:
            raise ValidationError(f"{variable}: {error.messages[0]}") from error
        except ValueError as error:
            raise ValidationError(f"{variable}: has no valid port") from error
    return None


def with_version(url: str) -> str:
    """The URL with `/v1` added if it is Ollama's without a path, as OpenClaw writes it."""
    parts = urlsplit(url)
    is_bare = not parts.path and parts.port == OLLAMA_PORT
    return parts._replace(path="/v1").geturl() if is_bare else url


def _completed(written: str, added_path: str) -> str:
    """The URL with what the provider's own package adds to it, unless it already ends like that."""
    parts = urlsplit(checks.base_url(written))
    is_compatible = added_path.endswith("/openai")  # Gemini's API in OpenAI's format, beside its own
    if is_compatible and parts.path.endswith("/openai"):
        added_path = ""
    elif _VERSION.search(parts.path):
        added_path = "/openai" if is_compatible else ""
    return parts._replace(path=parts.path + added_path).geturl()


def _ollama(written: str) -> str:
    """`OLLAMA_HOST` (a host, host:port or URL), or its URL, as the base URL of its OpenAI-compatible API."""
    text = written
    if "://" not in text:
        text = f"http://{text}"
        has_port = urlsplit(text).port is not None
        text = text if has_port else f"{text.rstrip('/')}:{OLLAMA_PORT}"
    url = checks.base_url(text)
    # Ollama reads the same variable for the address to listen on; nobody can connect to 0.0.0.0.
    url = url.replace("://0.0.0.0", "://127.0.0.1", 1)
    parts = urlsplit(url)
    return url if parts.path else parts._replace(path="/v1").geturl()
