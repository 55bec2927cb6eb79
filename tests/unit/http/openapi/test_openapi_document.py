"""The document agrees with the code: the same paths, and the same requests are valid."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from app.bootstrap import build_gateway
from app.config.settings import ChatCompletionsSettings, Settings
from app.errors import InvalidRequest
from app.factory import create_app
from app.http.chat_completions.schema import load_chat_request
from app.http.errors import HTTP_ERRORS
from app.http.openapi.document import build_document

PNG = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5Er"
    "kJggg=="
)
HI = {"role": "user", "content": "hi"}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
TOOL = {"type": "function", "function": {"name": "f"}}

# How the document names what stands in a path.
NAMES = {
    "path:name": "{id}",
    "approval_id": "{id}",
    "path:run_id": "{id}",
    "session_key:name": "{key}",
    "whole_session_key:name": "{key}",
}
PARAMETER = re.compile("<(.*?)>")
API = (
    "/v1/",
    "/tools/",
    "/health",
    "/ready",
    "/metrics",
    "/openapi.json",
)  # the rest is WebSocket and web page

GOOD_MESSAGES: list[list[dict[str, Any]]] = [
    [HI],
    [{"role": "system", "content": "Be brief."}, HI],
    [HI, {"role": "developer", "content": [{"type": "text", "text": "late"}]}],
    [{"role": "user", "content": [{"type": "input_text", "text": "hi"}], "name": "ann"}],
    [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": PNG, "detail": "low"}}]}],
    [{"role": "user", "content": [{"type": "image_url", "image_url": PNG}]}],
    [HI, {"role": "assistant", "content": ""}],
    [HI, {"role": "assistant", "content": "", "tool_calls": None}],
    [HI, {"role": "assistant", "content": None, "tool_calls": [CALL]}],
    [HI, {"role": "assistant", "tool_calls": [CALL]}, {"role": "tool", "tool_call_id": "c1", "content": ""}],
    [{"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "21°"}]}],
    [HI, {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}}],
    [{"role": "function", "name": "f", "content": None}],
    [HI, {"role": "assistant", "content": None, "refusal": "No."}],
    [HI, {"role": "assistant", "refusal": "No."}],
    [HI, {"role": "assistant", "content": "Yes.", "refusal": None}],
    [HI, {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}],
    [HI, {"role": "assistant", "content": None, "tool_calls": [CALL], "refusal": None}],
]
BAD_MESSAGES: list[Any] = [
    None,
    "hi",
    [],
    ["hi"],
    [{"content": "hi"}],
    [{"role": "robot", "content": "hi"}],
    [{"role": ["user"], "content": "hi"}],
    [{"role": "user"}],
    [{"role": "user", "content": " \n"}],
    [{"role": "user", "content": None}, HI],
    [{"role": "user", "content": 7}, HI],
    [{"role": "user", "content": {"type": "text", "text": "hi"}}, HI],
    [{"role": "user", "content": ["hi"]}, HI],
    [{"role": "user", "content": [{"type": "text"}]}, HI],
    [{"role": "user", "content": [{"type": "text", "text": 7}]}, HI],
    [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}, HI],
    [{"role": "user", "content": [{"type": "image_url"}]}, HI],
    [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}]}, HI],
    [{"role": "user", "content": [{"type": "image_url", "image_url": "data:text/html;base64,aGk="}]}, HI],
    [{"role": "user", "content": "hi", "name": 7}],
    [{"role": "system", "content": "only"}],
    [{"role": "system", "content": [{"type": "image_url", "image_url": PNG}]}, HI],
    [{"role": "assistant", "content": "only"}],
    [HI, {"role": "assistant", "content": None}],
    [HI, {"role": "assistant", "content": None, "tool_calls": []}],
    [HI, {"role": "assistant", "content": "", "tool_calls": "f"}],
    [HI, {"role": "assistant", "tool_calls": [{"id": "c1"}]}],
    [HI, {"role": "assistant", "tool_calls": [{**CALL, "id": 7}]}],
    [HI, {"role": "assistant", "tool_calls": [{"id": "c1", "function": {"name": "f", "arguments": {}}}]}],
    [HI, {"role": "assistant", "content": None, "refusal": ""}],
    [HI, {"role": "assistant", "content": None, "refusal": 7}],
    [HI, {"role": "assistant", "content": [{"type": "refusal", "refusal": None}]}],
    [{"role": "user", "content": [{"type": "refusal", "refusal": "No."}]}, HI],
    [{"role": "tool", "content": "21"}],
    [{"role": "tool", "tool_call_id": "", "content": "21"}],
    [{"role": "tool", "tool_call_id": "c1", "content": None}],
]
GOOD_FIELDS: list[dict[str, Any]] = [
    {},
    {"model": "openclaw", "user": "ann", "stream": True, "stream_options": {"include_usage": True}},
    {"model": None, "user": None, "stream": None, "stream_options": None, "tools": None, "tool_choice": None},
    {"temperature": 0, "top_p": 1.0, "frequency_penalty": -2, "presence_penalty": 2, "seed": -1, "n": 1},
    {"stop": "END"},
    {"stop": ["a", "b", "c", "d"]},
    {"max_tokens": 1, "max_completion_tokens": 4096, "reasoning_effort": "high"},
    {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}},
    {"tools": [TOOL], "tool_choice": "required", "parallel_tool_calls": False},
    {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "f"}}},
    {"tools": []},
    {"tool_choice": "required"},  # of the agent's own tools
    {"tools": [], "tool_choice": "auto"},
    {"functions": [], "function_call": "auto"},
    {"functions": None, "function_call": None},
    {"logprobs": True, "store": False, "metadata": {"a": "b"}, "nobody-knows-this": 1},
]
BAD_FIELDS: list[dict[str, Any]] = [
    {"stream": "true"},
    {"stream": 1},
    {"stream_options": True},
    {"stream_options": {"include_usage": "yes"}},
    {"max_tokens": 0},
    {"max_tokens": "10"},
    {"max_tokens": True},
    {"max_completion_tokens": 1.5},
    {"temperature": 2.1},
    {"temperature": "hot"},
    {"top_p": -0.1},
    {"frequency_penalty": 3},
    {"presence_penalty": -3},
    {"seed": "x"},
    {"seed": 2**63},
    {"max_tokens": 10**30},
    {"n": 2},
    {"stop": ""},
    {"stop": ["a", ""]},
    {"stop": ["a", "b", "c", "d", "e"]},
    {"stop": 7},
    {"response_format": "json"},
    {"response_format": {"type": "xml"}},
    {"response_format": {}},
    {"reasoning_effort": ""},
    {"reasoning_effort": 3},
    {"parallel_tool_calls": "yes"},
    {"functions": [{"name": "f"}]},
    {"functions": {}},
    {"function_call": {"name": "f"}},
    {"tools": {}},
    {"tools": ["f"]},
    {"tools": [{"type": "retrieval"}]},
    {"tools": [{"type": "function"}]},
    {"tools": [{"type": "function", "function": {"name": " "}}]},
    {"tools": [{"type": "function", "function": {"name": "f", "parameters": []}}]},
    {"tools": [{"type": "function", "function": {"name": "f", "description": 7}}]},
    {"tools": [TOOL], "tool_choice": "sometimes"},
    {"tools": [TOOL], "tool_choice": {"type": "function"}},
]
# A schema can say this, the code says it where it looks for the agent.
BAD_NAMES: list[dict[str, Any]] = [{"model": 7}, {"model": ["openclaw"]}, {"user": 7}, {"user": {}}]


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return build_document()


def is_documented(document: dict[str, Any], body: object) -> bool:
    schema = {
        "$ref": "#/components/schemas/ChatCompletionRequest",
        "components": document["components"],
    }
    return jsonschema_rs.is_valid(schema, body)


def bodies(messages: list[Any], fields: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"messages": one} for one in messages] + [{"messages": [HI], **one} for one in fields]


@pytest.mark.parametrize("body", bodies(GOOD_MESSAGES, GOOD_FIELDS), ids=str)
def test_what_is_accepted_is_documented(document: dict[str, Any], body: dict[str, Any]) -> None:
    load_chat_request(body, ChatCompletionsSettings())
    assert is_documented(document, body)


@pytest.mark.parametrize("body", [{}, *bodies(BAD_MESSAGES, BAD_FIELDS)], ids=str)
def test_what_is_refused_is_not_documented(document: dict[str, Any], body: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        load_chat_request(body, ChatCompletionsSettings())
    assert not is_documented(document, body)


@pytest.mark.parametrize("names", BAD_NAMES, ids=str)
def test_names_of_other_types_are_not_documented(document: dict[str, Any], names: dict[str, Any]) -> None:
    assert not is_documented(document, {"messages": [HI], **names})


def test_every_path_is_documented(document: dict[str, Any], tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path, storage_url=f"sqlite:///{tmp_path}/gateway.sqlite")
    app = create_app(build_gateway(settings, lambda: settings))
    served = {
        (PARAMETER.sub(lambda found: NAMES[found[1]], rule.rule), method.lower())
        for rule in app.url_map.iter_rules()
        for method in rule.methods or ()
        if method not in ("HEAD", "OPTIONS") and rule.rule.startswith(API)
    }
    assert {(path, method) for path, item in document["paths"].items() for method in item} == served


def test_every_error_a_chat_may_get_is_documented(document: dict[str, Any]) -> None:
    answers = document["paths"]["/v1/chat/completions"]["post"]["responses"]
    of_others = {410}  # of approvals
    assert {int(status) for status in answers} - {200, 202} == {
        one.status for one in HTTP_ERRORS.values()
    } - of_others
