"""A call of a tool as people and programs are shown it: title, summary, arguments, result. Pure.

What is shown is bounded, and can be JSON, whatever the model has written or the tool has answered.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.events.types import ToolReturned
from app.messages import ToolCall, json_size
from app.tools.base import ToolOutput
from app.tools.parameters import InvalidArguments, parse_arguments

MAX_ARGUMENTS = 64 * 1024  # characters of a call's arguments that are shown as they are
MAX_PREVIEW = 2_000  # characters of longer ones, and of those that are no JSON object
MAX_TEXT = 60_000  # characters of a result
MAX_DETAILS = 64 * 1024  # bytes of a result's details as JSON
MAX_DETAIL = 4 * 1024  # bytes of each one that is kept of more
AROUND = 16  # objects and lists that a value may be inside of where it is sent
MAX_SUMMARY = 120  # characters

# The arguments that say most about a call, the best first.
_TELLING = (
    *("command", "path", "url", "query", "pattern", "task", "question", "message", "action"),
    *("name", "title", "agentId", "sessionKey", "sessionId"),
)


def shown_arguments(call: ToolCall) -> dict[str, Any]:
    """The arguments as an object. Very long ones, and those that are no object, are `{"preview": "…"}`."""
    written = call.arguments
    if len(written) <= MAX_ARGUMENTS:
        try:
            arguments = parse_arguments(written)
        except InvalidArguments:
            arguments = None
        if arguments is not None and _size(arguments) is not None:
            return arguments
    return {"preview": written[:MAX_PREVIEW]}


def tool_title(name: str) -> str:
    """`web_fetch` -> `Web Fetch`."""
    words = name[:MAX_SUMMARY].replace("_", " ").split()
    return " ".join(word[0].upper() + word[1:] for word in words) or "Tool"


def call_summary(arguments: Mapping[str, Any]) -> str | None:
    """What the call is about on one line; None if its arguments do not say."""
    texts = {name: value for name, value in arguments.items() if isinstance(value, str) and value.strip()}
    telling = next((name for name in _TELLING if name in texts), None) or next(iter(texts), None)
    return None if telling is None else one_line(texts[telling])


def one_line(text: str) -> str:
    """The beginning of a text, at most MAX_SUMMARY characters."""
    line = " ".join(text[: 4 * MAX_SUMMARY].split())
    return line if len(line) <= MAX_SUMMARY else f"{line[: MAX_SUMMARY - 1]}…"


def last_line(text: str) -> str:
    """The last line of a text that has one, as `one_line`."""
    lines = [line for line in text[-4 * MAX_SUMMARY :].splitlines() if line.strip()]
    return one_line(lines[-1]) if lines else ""


def returned(call: ToolCall, output: ToolOutput, seconds: float) -> ToolReturned:
    """The event of a call that has a result: as much of it as those who follow the run get."""
    text, left_out = valid(output.text[:MAX_TEXT]), len(output.text) - MAX_TEXT
    if left_out > 0:
        text += f"\n\n[{left_out} more characters are not shown.]"
    return ToolReturned(call.id, call.name, text, output.is_error, shown_details(output.details), seconds)


def shown_details(details: Mapping[str, Any]) -> dict[str, Any]:
    """The details, or the small ones of them and `truncated`."""
    size = _size(dict(details))
    if size is not None and size <= MAX_DETAILS:
        return dict(details)
    small: dict[str, Any] = {}
    for name, value in details.items():
        size = _size({name: value})
        if size is not None and size <= MAX_DETAIL and len(small) < MAX_DETAILS // MAX_DETAIL:
            small[name] = value
    return {**small, "truncated": True}


def valid(text: str) -> str:
    """The text without halves of surrogate pairs, which cannot be sent."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text


def valid_json(value: Any) -> Any:
    """The JSON value with `valid` texts."""
    if isinstance(value, str):
        return valid(value)
    if isinstance(value, Mapping):
        return {valid_json(key): valid_json(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [valid_json(one) for one in value]
    return value


def _size(value: dict[str, Any]) -> int | None:
    """How many bytes the value takes as JSON; None if it cannot be JSON inside of other JSON (too deep)."""
    around: Any = value
    for _ in range(AROUND):
        around = [around]
    return json_size(around)
