"""Messages of a run, and what it has used, as values in the database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.messages import Message, Usage
from app.sessions.stored import MessageState
from app.storage.message_json import dump_message

MAX_QUICK_CHARACTERS = 256 * 1024  # of messages; more (pictures, mostly) are not written on the event loop


def input_rows(messages: Sequence[Message], now: int) -> list[dict[str, Any]]:
    """The rows of what goes into a run, from its first position on. `now` is in milliseconds since 1970."""
    return [message_row(position, message, "complete", now) for position, message in enumerate(messages)]


def is_bulky(rows: Sequence[dict[str, Any]]) -> bool:
    """Whether it is too much to be written on the event loop."""
    return sum(len(row["content"]) for row in rows) > MAX_QUICK_CHARACTERS


def message_row(position: int, message: Message, state: MessageState, now: int) -> dict[str, Any]:
    """One message at its place in the run."""
    content = dump_message(message)
    return {"position": position, "role": message.role, "content": content, "state": state, "created_at": now}


def used(usage: Usage | None) -> dict[str, Any]:
    """What a run has used, as the values of a statement."""
    return {
        "new_prompt_tokens": usage and usage.prompt_tokens,
        "new_completion_tokens": usage and usage.completion_tokens,
        "new_cached_tokens": usage and usage.cached_tokens,
        "new_reasoning_tokens": usage and usage.reasoning_tokens,
        "new_usage_estimated": usage and usage.estimated,
    }
