"""A model call as the body of a Chat Completions request."""

from __future__ import annotations

from typing import Any

import pytest

from app.config.settings import ModelSettings
from app.messages import Extra, ImagePart, Message, PlainMessage, TextPart, ToolCall, ToolSpec
from app.providers import base
from app.providers.base import ModelCall
from app.providers.openai_chat.request import build_body

BARE = ModelSettings("m")
HI = Message("user", "hi")


def body(
    *messages: Message, model: ModelSettings = BARE, field: str = "max_tokens", **call: Any
) -> dict[str, Any]:
    return build_body(ModelCall("m", messages or (HI,), **call), model, field)


def test_the_smallest_body():
    assert body() == {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


@pytest.mark.parametrize(
    ("message", "wire"),
    [
        (Message("system", "Be brief."), {"role": "system", "content": "Be brief."}),
        (Message("user", ""), {"role": "user", "content": ""}),
        (Message("user", "hi", name="ann"), {"role": "user", "content": "hi", "name": "ann"}),
        (
            Message("user", (TextPart("look"), ImagePart("image/png", "eHh4"))),
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "look"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,eHh4"}},
                ],
            },
        ),
        (Message("assistant", "Hello"), {"role": "assistant", "content": "Hello"}),
        (Message("assistant", ""), {"role": "assistant", "content": ""}),
        (Message("assistant", " ", refusal="No."), {"role": "assistant", "content": "No."}),
        (
            Message("assistant", "", (ToolCall("c1", "up", "{not json"),)),
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "up", "arguments": "{not json"}}
                ],
            },
        ),
        (
            Message("assistant", "Wait.", (ToolCall("c1", "up", "{}"),)),
            {
                "role": "assistant",
                "content": "Wait.",
                "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "up", "arguments": "{}"}}
                ],
            },
        ),
        (Message("tool", "", (), "c1"), {"role": "tool", "content": "", "tool_call_id": "c1"}),
        (Message("tool", "HI", (), "c1", "up"), {"role": "tool", "content": "HI", "tool_call_id": "c1"}),
    ],
)
def test_messages(message: Message, wire: dict[str, Any]):
    assert body(message)["messages"] == [wire]


PARAMS: dict[str, Any] = {
    "temperature": 0,
    "top_p": 0.5,
    "frequency_penalty": 0,
    "presence_penalty": -1,
    "seed": 0,
    "stop": ["a"],
    "response_format": {"type": "json_object"},
    "reasoning_effort": "low",
    "parallel_tool_calls": False,
}


@pytest.mark.parametrize("name", base.PARAMS)
def test_parameters_are_passed_on_as_they_are(name: str):
    tools = (ToolSpec("up"),)
    assert body(params={name: PARAMS[name]}, tools=tools)[name] == PARAMS[name]
    assert name not in body(tools=tools)


def test_unknown_parameters_are_not_sent():
    assert body(params={"logit_bias": {}, "user": "ann"}) == body()


@pytest.mark.parametrize(
    ("asked", "model", "field", "expected"),
    [
        (5, BARE, "max_tokens", {"max_tokens": 5}),
        (5, BARE, "max_completion_tokens", {"max_completion_tokens": 5}),
        (5, ModelSettings("m", max_tokens=9), "max_tokens", {"max_tokens": 5}),
        (None, ModelSettings("m", max_tokens=9), "max_tokens", {"max_tokens": 9}),
        (None, BARE, "max_tokens", {}),
        (
            5,
            ModelSettings("m", compat={"maxTokensField": "max_completion_tokens"}),
            "max_tokens",
            {"max_completion_tokens": 5},
        ),
    ],
)
def test_the_limit_of_output_tokens(
    asked: int | None, model: ModelSettings, field: str, expected: dict[str, int]
):
    made = body(model=model, field=field, params={} if asked is None else {"max_tokens": asked})
    assert {name: value for name, value in made.items() if name.startswith("max_")} == expected


def test_usage_is_not_requested_from_servers_that_refuse_it():
    assert "stream_options" not in body(model=ModelSettings("m", compat={"supportsUsageInStreaming": False}))


def test_tools():
    schema = {"type": "object"}
    made = body(tools=(ToolSpec("up"), ToolSpec("down", "Down.", schema, False)))
    assert made["tools"] == [
        {"type": "function", "function": {"name": "up"}},
        {
            "type": "function",
            "function": {"name": "down", "description": "Down.", "parameters": schema, "strict": False},
        },
    ]
    assert "tool_choice" not in made


@pytest.mark.parametrize(
    ("choice", "wire"),
    [
        ("auto", "auto"),
        ("none", "none"),
        ("required", "required"),
        ("function:up", {"type": "function", "function": {"name": "up"}}),
        ("function:a:b", {"type": "function", "function": {"name": "a:b"}}),
    ],
)
def test_tool_choice(choice: str, wire: Any):
    assert body(tools=(ToolSpec("up"),), tool_choice=choice)["tool_choice"] == wire


def test_without_tools_nothing_about_tools_is_sent():
    assert body(tool_choice="auto", params={"parallel_tool_calls": True}) == body()


EXTRA = Extra({"extra_content": {"google": {"thought_signature": "s"}}}, "google")
THOUGHTS = Extra({"reasoning_content": "hm"}, "deepseek")


@pytest.mark.parametrize(
    ("extra", "provider", "sent"),
    [
        (EXTRA, "google", True),
        (EXTRA, "other", False),
        (Extra(EXTRA.fields), "other", True),  # resent by a caller that did not keep whose it is
    ],
)
def test_what_a_provider_wants_back_is_for_that_provider_only(extra: Extra, provider: str, sent: bool):
    message = Message("assistant", "", (ToolCall("c1", "up", "{}", extra),), extra=extra)
    call = ModelCall("m", (HI, message, Message("tool", "HI", (), "c1")))
    wire = build_body(call, BARE, "max_tokens", provider)["messages"][1]
    assert ("extra_content" in wire) is sent
    assert ("extra_content" in wire["tool_calls"][0]) is sent


def test_what_belongs_beside_calls_is_not_sent_without_them():
    wire = build_body(ModelCall("m", (HI, Message("assistant", "hi", extra=THOUGHTS))), BARE, "x", "deepseek")
    assert wire["messages"][1] == {"role": "assistant", "content": "hi"}


def test_some_servers_need_an_answer_between_a_result_and_the_next_question():
    call = Message("assistant", "", (ToolCall("c1", "up", "{}"),))
    result = Message("tool", "HI", (), "c1")
    strict = ModelSettings("m", compat={"requiresAssistantAfterToolResult": True})
    roles = [
        one.role if isinstance(one, PlainMessage) else one["role"]
        for one in body(HI, call, result, HI, call, result, Message("assistant", "x"), HI, model=strict)[
            "messages"
        ]
    ]
    assert roles == [
        "user",
        "assistant",
        "tool",
        "assistant",
        "user",
        "assistant",
        "tool",
        "assistant",
        "user",
    ]
    assert len(body(HI, call, result, HI)["messages"]) == 4
