"""The body of a request: valid and invalid values of each parameter, and what they are loaded as."""

from __future__ import annotations

from typing import Any

import pytest

from app.config.settings import ChatCompletionsSettings
from app.errors import InvalidRequest, MissingMessage, UnsupportedValue
from app.http.chat_completions.schema import ChatRequest, load_chat_request
from app.messages import Message, ToolSpec
from app.providers.base import PARAMS

HI = [{"role": "user", "content": "hi"}]
TOOLS = [{"type": "function", "function": {"name": "up"}}]


def load(**body: Any) -> ChatRequest:
    return load_chat_request({"messages": HI, **body}, ChatCompletionsSettings())


def params(**body: Any) -> dict[str, Any]:
    return dict(load(**body).params)


def test_messages_alone_are_enough():
    body = load()
    assert (body.model, body.user, body.stream, body.include_usage) == (None, None, False, False)
    assert body.conversation.messages == (Message("user", "hi"),)
    assert body.conversation.instructions is None
    assert body.params == {}
    assert (body.tools.specs, body.tools.choice) == ((), None)


def test_everything_at_once():
    body = load(
        messages=[{"role": "system", "content": "Be brief."}, *HI],
        model="openclaw:beta",
        user="Ann",
        stream=True,
        stream_options={"include_usage": True, "include_obfuscation": False},
        tools=TOOLS,
        tool_choice="required",
        temperature=0.5,
        max_tokens=5,
    )
    assert (body.model, body.user, body.stream, body.include_usage) == ("openclaw:beta", "Ann", True, True)
    assert body.conversation.instructions == "Be brief."
    assert (body.tools.specs, body.tools.choice) == ((ToolSpec("up"),), "required")
    assert body.params == {"temperature": 0.5, "max_tokens": 5}


@pytest.mark.parametrize(
    ("body", "forwarded"),
    [
        ({"temperature": 0}, {"temperature": 0}),
        ({"temperature": 2}, {"temperature": 2}),
        ({"temperature": 0.7}, {"temperature": 0.7}),
        ({"top_p": 0}, {"top_p": 0}),
        ({"top_p": 1.0}, {"top_p": 1.0}),
        ({"frequency_penalty": -2}, {"frequency_penalty": -2}),
        ({"presence_penalty": 2}, {"presence_penalty": 2}),
        ({"seed": 0}, {"seed": 0}),
        ({"seed": -5}, {"seed": -5}),
        ({"seed": 2**60}, {"seed": 2**60}),
        ({"stop": "END"}, {"stop": "END"}),
        ({"stop": ["a", "b", "c", "d"]}, {"stop": ["a", "b", "c", "d"]}),
        ({"stop": []}, {}),
        ({"response_format": {"type": "text"}}, {"response_format": {"type": "text"}}),
        ({"response_format": {"type": "json_object"}}, {"response_format": {"type": "json_object"}}),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}},
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}},
        ),
        ({"reasoning_effort": "high"}, {"reasoning_effort": "high"}),
        ({"parallel_tool_calls": False}, {"parallel_tool_calls": False}),
        ({"max_tokens": 1}, {"max_tokens": 1}),
        ({"max_completion_tokens": 7}, {"max_tokens": 7}),
        ({"max_completion_tokens": 7, "max_tokens": 9}, {"max_tokens": 7}),
        ({"max_completion_tokens": None, "max_tokens": 9}, {"max_tokens": 9}),
        ({"n": 1}, {}),
        ({"n": None}, {}),
    ],
)
def test_parameters_that_are_forwarded(body: dict[str, Any], forwarded: dict[str, Any]):
    assert params(**body) == forwarded


@pytest.mark.parametrize(
    "name", [*PARAMS, "max_tokens", "max_completion_tokens", "n", "stream_options", "tools", "tool_choice"]
)
def test_null_is_the_same_as_absent(name: str):
    assert load(**{name: None}) == load()


WRONG = {
    "temperature": [-0.01, 2.01, "1", True, [], {}, 1e308],
    "top_p": [-0.01, 1.01, "1", False, []],
    "frequency_penalty": [-2.1, 2.1, "0", True],
    "presence_penalty": [-2.1, 2.1, "0", True],
    "seed": [1.5, 1.0, "1", True, [], {}],
    "max_tokens": [0, -1, 1.5, "5", True, [], {}],
    "max_completion_tokens": [0, -1, 1.5, 2.0, "5", True, []],
    "n": [0, 2, -1, 1.0, "1", True, []],
    "stop": ["", [""], ["a", ""], ["a", 5], [None], 5, True, {}, ["a"] * 5],
    "response_format": ["json", [], 5, {}, {"type": None}, {"type": "xml"}, {"type": ["text"]}],
    "reasoning_effort": ["", 5, True, [], {}],
    "parallel_tool_calls": [0, 1, "true", []],
    "stream": [0, 1, "true", "false", [], {}],
    "stream_options": [True, "x", [], 5],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in WRONG for value in WRONG[name]])
def test_out_of_range_or_of_the_wrong_type(name: str, value: object):
    with pytest.raises(UnsupportedValue) as caught:
        load(**{name: value})
    assert (caught.value.code, caught.value.param) == ("unsupported_value", name)
    assert name in caught.value.message


@pytest.mark.parametrize("value", [1, "true", []])
def test_the_param_of_a_mistake_in_stream_options_is_its_path(value: object):
    with pytest.raises(UnsupportedValue) as caught:
        load(stream_options={"include_usage": value})
    assert caught.value.param == "stream_options.include_usage"


def test_both_token_limits_are_checked_though_one_wins():
    with pytest.raises(UnsupportedValue) as caught:
        load(max_completion_tokens=5, max_tokens=0)
    assert caught.value.param == "max_tokens"


@pytest.mark.parametrize(
    "body",
    [
        {"logprobs": True, "top_logprobs": 5},
        {"logit_bias": {"50256": -100}},
        {"store": True, "metadata": {"a": "b"}},
        {"service_tier": "flex", "modalities": ["text"]},
        {"functions": [], "function_call": "auto", "prediction": {}},
        {"surprise": object()},
    ],
)
def test_unsupported_parameters_are_ignored(body: dict[str, Any]):
    assert load(**body) == load()


@pytest.mark.parametrize(
    "body",
    [
        {"functions": [{"name": "f"}]},
        {"functions": {}},
        {"functions": "f"},
        {"function_call": {"name": "f"}},
        {"function_call": "required"},
    ],
)
def test_the_older_functions_are_never_ignored(body: dict[str, Any]):
    with pytest.raises(UnsupportedValue, match="`tools`") as caught:
        load(**body)
    assert caught.value.param in body


@pytest.mark.parametrize(("value", "stream"), [(True, True), (False, False), (None, False)])
def test_stream(value: bool | None, stream: bool):
    assert load(stream=value).stream is stream


@pytest.mark.parametrize("value", [None, {}, {"include_usage": None}, {"include_usage": False}, {"x": 1}])
def test_usage_is_streamed_only_if_asked_for(value: object):
    assert load(stream_options=value).include_usage is False


@pytest.mark.parametrize("value", [5, [], {"a": 1}, True])
def test_model_and_user_are_passed_on_unchanged(value: object):
    body = load(model=value, user=value)
    assert (body.model, body.user) == (value, value)


@pytest.mark.parametrize(
    ("body", "expected", "param"),
    [
        ({"messages": None}, MissingMessage, "messages"),
        ({"messages": []}, MissingMessage, "messages"),
        ({"tools": "x"}, InvalidRequest, "tools"),
        ({"tool_choice": "sometimes"}, InvalidRequest, "tool_choice"),
    ],
)
def test_messages_and_tools_are_checked_too(body: dict[str, Any], expected: type[InvalidRequest], param: str):
    with pytest.raises(expected) as caught:
        load(**body)
    assert caught.value.param == param


def test_the_body_is_not_changed():
    body: dict[str, Any] = {"messages": HI, "stop": [], "max_completion_tokens": 5}
    copy = dict(body)
    load_chat_request(body, ChatCompletionsSettings())
    assert body == copy
