"""Words that stand in `apiKey` where a server needs none, and are therefore no secrets."""

from __future__ import annotations

DUMMY_KEYS = frozenset(
    (
        *(
            "ollama",
            "ollama-local",
            "lmstudio",
            "lm-studio",
            "llama.cpp",
            "llamacpp",
            "localhost",
            "anything",
        ),
        *("not-needed", "not-required", "no-key", "no-key-required", "no-key-needed", "sk-no-key-required"),
        *("none", "null", "empty", "dummy", "dummy-key", "fake-key", "placeholder", "unused"),
    )
)


def is_dummy_key(text: str) -> bool:
    """Whether a configured key is such a word, in any case."""
    return text.lower() in DUMMY_KEYS
