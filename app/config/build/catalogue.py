"""The known providers. They need no entry in the file: an API key in the environment is enough."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from app.config.apis import APIS, DEFAULT_API, LOCAL_MODEL, ProviderApi

OLLAMA_PORT = 11434


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """`variable` is the environment variable with the API key; None for a provider that needs no key.

    `base_variables` may have another base URL, the first that is set; they are those of the provider's own
    packages and of LiteLLM and LangChain. `added_path` is what the provider's own package adds to it.
    `model_prefix` is put before the id of a model that has no slash: OpenRouter's own models are sent as
    `openrouter/auto`, those of others as `vendor/model`.
    """

    name: str
    base_url: str
    variable: str | None
    default_model: str
    base_variables: tuple[str, ...] = ()
    added_path: str = ""
    model_prefix: str = ""
    api: ProviderApi = DEFAULT_API

    @property
    def is_bundled(self) -> bool:
        return APIS[self.api].is_bundled


# In the order of preference: the first one with a key gives the default model.
_ENTRIES = (
    CatalogueEntry(
        name="openai",
        base_url="https://api.openai.com/v1",
        variable="OPENAI_API_KEY",
        default_model="gpt-4.1-mini",
        base_variables=("OPENAI_BASE_URL", "OPENAI_API_BASE"),
    ),
    CatalogueEntry(
        name="anthropic",
        base_url="https://api.anthropic.com/v1",
        variable="ANTHROPIC_API_KEY",
        default_model="claude-sonnet-4-5",
        base_variables=("ANTHROPIC_BASE_URL", "ANTHROPIC_API_BASE"),
        added_path="/v1",
    ),
    CatalogueEntry(
        name="openrouter",
        base_url="https://openrouter.ai/api/v1",
        variable="OPENROUTER_API_KEY",
        default_model="auto",
        base_variables=("OPENROUTER_BASE_URL", "OPENROUTER_API_BASE"),
        model_prefix="openrouter/",
    ),
    CatalogueEntry(
        name="google",
        base_url="https://generativelanguage.googleapis.com/v1beta/openai",
        variable="GEMINI_API_KEY",
        default_model="gemini-2.5-flash",
        base_variables=("GOOGLE_GEMINI_BASE_URL", "GEMINI_BASE_URL", "GEMINI_API_BASE"),
        added_path="/v1beta/openai",
    ),
    CatalogueEntry(
        name="groq",
        base_url="https://api.groq.com/openai/v1",
        variable="GROQ_API_KEY",
        default_model="llama-3.3-70b-versatile",
        base_variables=("GROQ_BASE_URL", "GROQ_API_BASE"),
        added_path="/openai/v1",
    ),
    CatalogueEntry(
        name="mistral",
        base_url="https://api.mistral.ai/v1",
        variable="MISTRAL_API_KEY",
        default_model="mistral-small-latest",
        base_variables=("MISTRAL_BASE_URL", "MISTRAL_API_BASE"),
    ),
    CatalogueEntry(
        name="deepseek",
        base_url="https://api.deepseek.com/v1",
        variable="DEEPSEEK_API_KEY",
        default_model="deepseek-chat",
        base_variables=("DEEPSEEK_BASE_URL", "DEEPSEEK_API_BASE"),
    ),
    CatalogueEntry(
        name="xai",
        base_url="https://api.x.ai/v1",
        variable="XAI_API_KEY",
        default_model="grok-4",
        base_variables=("XAI_BASE_URL", "XAI_API_BASE"),
    ),
    CatalogueEntry(
        name="together",
        base_url="https://api.together.xyz/v1",
        variable="TOGETHER_API_KEY",
        default_model="meta-llama/Llama-3.3-70B-Instruct-Turbo",
        base_variables=("TOGETHER_BASE_URL", "TOGETHER_API_BASE"),
    ),
    CatalogueEntry(
        name="ollama",
        base_url=f"http://127.0.0.1:{OLLAMA_PORT}/v1",
        variable=None,
        default_model="llama3.2",
        base_variables=("OLLAMA_HOST", "OLLAMA_BASE_URL", "OLLAMA_API_BASE"),
    ),
    CatalogueEntry("local", "", None, LOCAL_MODEL, api="local"),
    CatalogueEntry("builtin", "", None, "echo", api="builtin"),
)
CATALOGUE: Mapping[str, CatalogueEntry] = {entry.name: entry for entry in _ENTRIES}
