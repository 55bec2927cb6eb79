"""A tool conversation for clients of all kinds: the model asks for two cities at once, then tells."""

from __future__ import annotations

from typing import Any

from tests.support.provider import done, finish, says, tool_call, usage

QUESTION = "How is the weather in Paris and Rome?"

TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}

# What the model says. The fragments of the two calls come in turns.
ASKS = [
    tool_call(0, "call_paris", "get_weather", '{"city":'),
    tool_call(1, "call_rome", "get_weather", '{"city":'),
    tool_call(0, arguments='"Paris"}'),
    tool_call(1, arguments='"Rome"}'),
    finish("tool_calls"),
    usage(20, 10),
    done(),
]
TELLS = says("It is sunny in Paris ", "and it rains in Rome.", prompt=40)
ANSWER = "It is sunny in Paris and it rains in Rome."

# What the tool says.
WEATHER = {"Paris": "sunny", "Rome": "rain"}


def _call(call_id: str, city: str) -> dict[str, Any]:
    function = {"name": "get_weather", "arguments": f'{{"city":"{city}"}}'}
    return {"id": call_id, "type": "function", "function": function}


CALLS = [_call("call_paris", "Paris"), _call("call_rome", "Rome")]
RESULTS = [
    {"role": "tool", "tool_call_id": "call_paris", "content": "sunny"},
    {"role": "tool", "tool_call_id": "call_rome", "content": "rain"},
]

# What the model must have been shown when it tells: nothing lost, nothing twice.
SHOWN = [
    {"role": "system", "content": "You are main."},
    {"role": "user", "content": QUESTION},
    {"role": "assistant", "content": None, "tool_calls": CALLS},
    *RESULTS,
]
