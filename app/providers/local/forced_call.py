"""A call of a tool, forced from a model that knows nothing of tools.

The local model's template has no place for tools and its server does not enforce `tool_choice`. But it can
be held to a JSON schema: so it is asked for the arguments of the tool, and what it writes becomes the call.
Which tool it is, if there are several, it is asked first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import orjson
from msgspec.structs import replace

from app.events.types import ModelEvent, ModelFinished, TextDelta, ToolCallDelta
from app.ids import new_hex
from app.messages import Message, ToolSpec, Usage, with_system
from app.providers.base import ModelCall

Ask = Callable[[ModelCall], Iterator[ModelEvent]]


def is_forced(call: ModelCall) -> bool:
    """Whether the call demands that a tool is called."""
    return bool(call.tools) and call.tool_choice not in (None, "auto", "none")


def force_call(call: ModelCall, ask: Ask) -> Iterator[ModelEvent]:
    """The events of an answer that calls a tool. `ask` asks the model. Raises what `ask` raises."""
    usage = Usage()
    tool = _demanded(call)
    if tool is None:
        tool, usage = _choose(call, ask)
    wanted = f"{_described(tool)}\nWrite its arguments as JSON, taken from what the user says."
    arguments, used = _answer(call, wanted, tool.parameters or {"type": "object"}, ask)
    yield ToolCallDelta(0, f"call_{new_hex()}", tool.name, arguments)
    yield ModelFinished("tool_calls", usage + used)


def _demanded(call: ModelCall) -> ToolSpec | None:
    """The tool that is named, or the only one there is."""
    name = (call.tool_choice or "").partition(":")[2]
    fitting = [tool for tool in call.tools if tool.name == name or not name]
    return fitting[0] if len(fitting) == 1 else None


def _choose(call: ModelCall, ask: Ask) -> tuple[ToolSpec, Usage]:
    """The tool that the model wants; the first one if what it says cannot be read."""
    names = [tool.name for tool in call.tools]
    wanted = "Choose the tool that serves best.\n" + "\n".join(map(_described, call.tools))
    choice = {"type": "object", "properties": {"tool": {"enum": names}}, "required": ["tool"]}
    text, usage = _answer(call, wanted, choice, ask)
    try:
        chosen = orjson.loads(text)["tool"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        chosen = None
    return next((tool for tool in call.tools if tool.name == chosen), call.tools[0]), usage


def _answer(call: ModelCall, wanted: str, schema: dict[str, Any], ask: Ask) -> tuple[str, Usage]:
    """What the model writes that fits the schema, and the tokens it took."""
    response_format = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    asked = replace(
        call,
        messages=_with_wish(call.messages, wanted),
        params={**call.params, "response_format": response_format},
        tools=(),
        tool_choice=None,
    )
    pieces: list[str] = []
    usage = Usage()
    for event in ask(asked):
        if isinstance(event, TextDelta):
            pieces.append(event.text)
        elif isinstance(event, ModelFinished):
            usage = event.usage or usage
    return "".join(pieces), usage


def _with_wish(messages: Sequence[Message], wanted: str) -> Sequence[Message]:
    """The conversation with what is wanted of the model as the end of its system prompt."""
    if messages and messages[0].role == "system":
        return with_system(f"{messages[0].text}\n\n{wanted}", messages[1:])
    return with_system(wanted, messages)


def _described(tool: ToolSpec) -> str:
    return f"Tool {tool.name}: {tool.description or ''}"
