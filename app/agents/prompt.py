"""The system prompt: who the agent is, what its workspace says, what the request adds."""

from __future__ import annotations

from collections.abc import Sequence


def build_system_prompt(
    own: str | None, files: Sequence[tuple[str, str]], instructions: str | None
) -> str | None:
    """`own` (the agent's `systemPrompt`), then each workspace file under its name, then the request's
    instructions.

    None when all are empty: the model then gets no system message at all.
    """
    parts = [own.strip()] if own and own.strip() else []
    parts += [f"# {name}\n\n{text.strip()}" for name, text in files if text.strip()]
    if instructions and instructions.strip():
        parts.append(instructions)
    return "\n\n".join(parts) or None
