"""The data of an event as chunks: one, none (noise that keeps a connection alive), or the end."""

from __future__ import annotations

import re
from typing import Any

from app.errors import UpstreamError
from app.providers.http.lenient_json import load_json
from app.providers.openai_chat.failure import ERROR_KEYS

DONE = "[DONE]"

MAX_TEXT = 2000  # of a text in place of a chunk that is read

# What servers send to keep a connection alive: a word or a date.
_PING = re.compile(rb"[A-Za-z0-9 .:,;_+/()*#=!?~-]{0,100}")
_FAILURE = re.compile(
    rb"(?=.*\b(?:error|exception|fail(?:ed|ure)?|fatal|unavailable|overloaded|time(?:d )?out|aborted|denied"
    rb"|unauthorized|forbidden|bad gateway|too many requests|exceeded)\b)[^\[\]{}<>]+",
    re.IGNORECASE | re.DOTALL,
)


def load_odd(payload: bytes, is_over: bool) -> Any:
    """What a strict JSON parser has refused: DONE, None for noise, or a chunk that is nearly JSON.

    A text that names a failure is one. Raises UpstreamError for anything else, unless the answer `is_over`.
    """
    payload = payload.strip(b" \t\r\n\0")
    if payload[: len(DONE)].upper() == DONE.encode():
        return DONE
    if is_over:
        return None
    try:
        chunk = load_json(payload)
    except ValueError as error:
        if _FAILURE.fullmatch(payload[:MAX_TEXT]):
            return {"error": payload[:MAX_TEXT].decode("utf-8", "replace")}
        if _PING.fullmatch(payload):
            return None
        raise UpstreamError("The provider sent something that is not JSON.") from error
    if chunk is None:  # NaN
        raise UpstreamError("The provider sent something that is not JSON.")
    return chunk


def chunks_of(value: object) -> list[dict[str, Any]]:
    """A chunk, or the chunks of a list. Raises UpstreamError for any other value."""
    if isinstance(value, dict):
        return [value]
    if isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
        return value
    raise UpstreamError("The provider sent JSON that is no chat completion.")


def documents_of(body: bytes) -> list[bytes]:
    """The body, or its lines if each of them is a document of its own, perhaps with `[DONE]` at the end."""
    try:
        load_json(body)
    except ValueError:
        lines = [line.strip().removeprefix(b"data:").strip() for line in body.splitlines()]
        lines = [line for line in lines if line]
        if len(lines) > 1 and all(line.startswith((b"{", DONE.encode())) for line in lines):
            return lines
    return [body]


def only_text(chunk: Any) -> str | None:
    """The text of a chunk that has a text and nothing else, None for any other chunk.

    Nearly all chunks are such, so they are read the short way.
    """
    try:
        (choice,) = chunk["choices"]
        delta = choice["delta"]
        text = delta["content"]
        plain = (
            type(text) is str
            and text != ""
            and len(delta) == 1
            and choice["finish_reason"] is None
            and choice["index"] == 0
            and chunk.get("usage") is None
            and "error" not in chunk
        )
    except (KeyError, TypeError, ValueError):
        return None
    return text if plain else None


# What a chunk of OpenAI's own form has, and no more than a text and a reason.
_PLAIN_CHOICE = frozenset(("index", "delta", "logprobs", "finish_reason"))
_PLAIN_DELTA = frozenset(("role", "content"))
_MORE_THAN_PLAIN = ERROR_KEYS | {"usageMetadata"}


def plain_choice(chunk: Any) -> tuple[str, str | None] | None:
    """The text and the finish reason of a chunk in OpenAI's own form that has nothing else to say.

    None for any other chunk: that is read the lenient way.
    """
    try:
        (choice,) = chunk["choices"]
        delta, reason = choice["delta"], choice["finish_reason"]
        text = delta.get("content", "")
        plain = (
            type(text) is str
            and (reason is None or type(reason) is str)
            and delta.keys() <= _PLAIN_DELTA
            and choice.keys() <= _PLAIN_CHOICE
            and choice["index"] == 0
            and not chunk.get("usage")
            and _MORE_THAN_PLAIN.isdisjoint(chunk)
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
    return (text, reason) if plain else None


def choice_index(value: object) -> int | None:
    """A choice's index as a number, in whatever type it came; None if there is none."""
    if isinstance(value, str | int | float):
        try:
            return int(float(value))
        except (ValueError, OverflowError):
            return None
    return None
