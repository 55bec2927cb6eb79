"""The known providers. They need no entry in the file: an API key in the environment is enough."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from marshmallow import ValidationError

from app.config.apis import APIS, DEFAULT_API, LOCAL_MODEL, ProviderApi
from app.config.schema import checks

OLLAMA_PORT = 11434


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """`variable` is the environment variable with the API key; None for a provider that needs no key."""

    name: str
    base_url: str
    variable: str | None
    default_model: str
    api: ProviderApi = DEFAULT_API

    @property
    def is_bundled(self) -> bool:
        return APIS[self.api].is_bundled


# In the order of preference: the first one with a key gives the default model.
CATALOGUE: Mapping[str, CatalogueEntry] = {
    entry.name: entry
    for entry in (
        CatalogueEntry("openai", "https://api.openai.com/v1", "OPENAI_API_KEY", "gpt-4.1-mini"),
        CatalogueEntry("anthropic", "https://api.anthropic.com/v1", "ANTHROPIC_API_KEY", "claude-sonnet-4-5"),
        CatalogueEntry("openrouter", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY", "openrouter/auto"),
        CatalogueEntry(
            "google",
            "https://generativelanguage.googleapis.com/v1beta/openai",
            "GEMINI_API_KEY",
            "gemini-2.5-flash",
        ),
        CatalogueEntry("groq", "https://api.groq.com/openai/v1", "GROQ_API_KEY", "llama-3.3-70b-versatile"),
        CatalogueEntry("mistral", "https://api.mistral.ai/v1", "MISTRAL_API_KEY", "mistral-small-latest"),
        CatalogueEntry("deepseek", "https://api.deepseek.com/v1", "DEEPSEEK_API_KEY", "deepseek-chat"),
        CatalogueEntry("xai", "https://api.x.ai/v1", "XAI_API_KEY", "grok-4"),
        CatalogueEntry(
            "together",
            "https://api.together.xyz/v1",
            "TOGETHER_API_KEY",
            "meta-llama/Llama-3.3-70B-Instruct-Turbo",
        ),
        CatalogueEntry("ollama", f"http://127.0.0.1:{OLLAMA_PORT}/v1", None, "llama3.2"),
        CatalogueEntry("local", "", None, LOCAL_MODEL, "local"),
        CatalogueEntry("builtin", "", None, "echo", "builtin"),
    )
}


def ollama_url(written: str) -> str:
    """`OLLAMA_HOST` (a host, host:port or URL) as the base URL of its OpenAI-compatible API."""
    text = written.strip()
    if "://" not in text:
        text = f"http://{text}"
        has_port = urlsplit(text).port is not None
        text = text if has_port else f"{text.rstrip('/')}:{OLLAMA_PORT}"
    url = checks.base_url(text)
    # Ollama reads the same variable for the address to listen on; nobody can connect to 0.0.0.0.
    url = url.replace("://0.0.0.0", "://127.0.0.1", 1)
    return url if urlsplit(url).path else f"{url}/v1"


def with_version(url: str) -> str:
    """The URL with `/v1` added if it is Ollama's without a path, as OpenClaw writes it."""
    parts = urlsplit(url)
    return f"{url}/v1" if not parts.path and parts.port == OLLAMA_PORT else url


def ollama_from(environ: Mapping[str, str]) -> str | None:
    """The base URL that `OLLAMA_HOST` names, None if it is not set. Raises ValidationError."""
    written = environ.get("OLLAMA_HOST", "").strip()
    if not written:
        return None
    try:
        return ollama_url(written)
    except ValueError as error:
        why = error.messages[0] if isinstance(error, ValidationError) else "has no valid port"
        raise ValidationError(str(why)) from error
