"""The `messages` of a request: every shape that is accepted, and those that are refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.config.settings import ChatCompletionsSettings
from app.errors import GatewayError, InvalidRequest, MissingMessage, UnsupportedValue
from app.http.chat_completions.messages import ROLES, Conversation, load_conversation
from app.messages import ImagePart, Message, TextPart, ToolCall

HI = {"role": "user", "content": "hi"}
PNG = "data:image/png;base64,iVBORw0KGgo="
PICTURE = ImagePart("image/png", "iVBORw0KGgo=")
CALL = {"id": "c1", "type": "function", "function": {"name": "up", "arguments": "{}"}}


def load(*messages: Any) -> Conversation:
    return load_conversation(list(messages), ChatCompletionsSettings())


def refusal(*messages: Any) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        load(*messages)
    return caught.value


def image(url: Any = PNG) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def user(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}


def text(words: Any) -> dict[str, Any]:
    return {"type": "text", "text": words}


@pytest.mark.parametrize(
    "raw",
    [
        None,
        [],
        {},
        "hi",
        5,
        [{"role": "system", "content": "Be brief."}],
        [{"role": "assistant", "content": "Hello."}],
        [{"role": "developer", "content": "x"}, {"role": "assistant", "content": "y"}],
        [{"role": "user", "content": ""}],
        [{"role": "user", "content": " \n\t"}],
        [{"role": "user", "content": []}],
        [{"role": "user", "content": [{"type": "text", "text": "  "}]}],
        [{"role": "assistant", "content": None, "tool_calls": [CALL]}],
    ],
)
def test_there_must_be_something_to_answer(raw: object):
    with pytest.raises(MissingMessage) as caught:
        load_conversation(raw, ChatCompletionsSettings())
    assert caught.value.message == "Missing user message in `messages`."
    assert (caught.value.code, caught.value.param) == ("missing_message", "messages")


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (HI, Message("user", "hi")),
        ({**HI, "content": "  as it\r\nstands \u0000 "}, Message("user", "  as it\r\nstands \u0000 ")),
        ({**HI, "name": "ann"}, Message("user", "hi", name="ann")),
        ({**HI, "name": None, "extra": [1]}, Message("user", "hi")),
        (user(text("a")), Message("user", "a")),
        (user(text("a "), {"type": "input_text", "text": " b"}, text("")), Message("user", "a \n b\n")),
        (user(image()), Message("user", (PICTURE,))),
        (user({"type": "image_url", "image_url": PNG}), Message("user", (PICTURE,))),
        (user(text("a"), image(), text("b")), Message("user", (TextPart("a"), PICTURE, TextPart("b")))),
        ({"role": "tool", "tool_call_id": "c1", "content": "42"}, Message("tool", "42", (), "c1")),
        ({"role": "tool", "tool_call_id": "c1", "content": ""}, Message("tool", "", (), "c1")),
        (
            {"role": "tool", "tool_call_id": "c1", "content": [text("4"), text("2")]},
            Message("tool", "4\n2", (), "c1"),
        ),
        ({"role": "function", "name": "up", "content": "HI"}, Message("tool", "HI", (), "call_up", "up")),
        ({"role": "function", "name": "up", "content": None}, Message("tool", "", (), "call_up", "up")),
    ],
)
def test_one_message_to_answer_is_enough(raw: dict[str, Any], expected: Message):
    assert load(raw) == Conversation((expected,), None)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"role": "assistant", "content": "Hello."}, Message("assistant", "Hello.")),
        ({"role": "assistant", "content": ""}, Message("assistant", "")),
        ({"role": "assistant", "content": [text("a"), text("b")]}, Message("assistant", "a\nb")),
        (
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            Message("assistant", "", (ToolCall("c1", "up", "{}"),)),
        ),
        (
            {"role": "assistant", "tool_calls": [CALL, {"id": "c2", "function": {"name": "down"}}]},
            Message("assistant", "", (ToolCall("c1", "up", "{}"), ToolCall("c2", "down", ""))),
        ),
        ({"role": "assistant", "content": None, "refusal": "No."}, Message("assistant", refusal="No.")),
        ({"role": "assistant", "content": "", "refusal": "No."}, Message("assistant", refusal="No.")),
        ({"role": "assistant", "content": "Yes.", "refusal": None}, Message("assistant", "Yes.")),
        (
            {"role": "assistant", "content": "Yes.", "refusal": "No."},
            Message("assistant", "Yes.", refusal="No."),
        ),
        (
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}, text("Sorry.")]},
            Message("assistant", "No.\nSorry."),
        ),
        (
            {"role": "assistant", "content": "Wait.", "tool_calls": [CALL]},
            Message("assistant", "Wait.", (ToolCall("c1", "up", "{}"),)),
        ),
        (
            {"role": "assistant", "content": "x", "tool_calls": None, "name": "bot"},
            Message("assistant", "x", name="bot"),
        ),
        (
            {"role": "assistant", "content": None, "function_call": {"name": "up", "arguments": "{"}},
            Message("assistant", "", (ToolCall("call_up", "up", "{"),)),
        ),
    ],
)
@pytest.mark.parametrize("at_the_end", [True, False])
def test_assistant_messages_are_passed_on_in_any_position(
    raw: dict[str, Any], expected: Message, at_the_end: bool
):
    hi = Message("user", "hi")
    if at_the_end:
        assert load(HI, raw).messages == (hi, expected)
    else:
        assert load(raw, HI).messages == (expected, hi)


def test_system_and_developer_messages_become_instructions_in_order():
    loaded = load(
        {"role": "system", "content": " One. "},
        HI,
        {"role": "developer", "content": [text("Two"), text("three.")]},
        {"role": "assistant", "content": "Hello."},
        {"role": "system", "content": "Late."},
    )
    assert loaded.instructions == " One. \n\nTwo\nthree.\n\nLate."
    assert [message.role for message in loaded.messages] == ["user", "assistant"]


def test_a_function_call_and_its_result_get_the_same_id():
    loaded = load(
        {"role": "assistant", "content": None, "function_call": {"name": "up", "arguments": "{}"}},
        {"role": "function", "name": "up", "content": "HI"},
    )
    call, result = loaded.messages
    assert call.tool_calls[0].id == result.tool_call_id


BAD_CONTENTS = [
    (None, ""),
    (5, ""),
    (True, ""),
    ({"type": "text", "text": "hi"}, ""),
    (["hi"], "[0].type"),
    ([text("a"), None], "[1].type"),
    ([{}], "[0].type"),
    ([{"type": "audio"}], "[0].type"),
    ([{"type": ["text"]}], "[0].type"),
    ([{"type": "text"}], "[0].text"),
    ([text(None)], "[0].text"),
    ([text(5)], "[0].text"),
]


@pytest.mark.parametrize("role", ["user", "assistant", "system", "developer", "tool"])
@pytest.mark.parametrize(("content", "where"), BAD_CONTENTS)
def test_content_of_a_wrong_type_is_refused(role: str, content: object, where: str):
    error = refusal(HI, {"role": role, "content": content, "tool_call_id": "c1"})
    assert (type(error), error.param) == (InvalidRequest, f"messages[1].content{where}")


@pytest.mark.parametrize("role", ["user", "system", "assistant", "tool"])
def test_content_must_be_there(role: str):
    assert refusal(HI, {"role": role, "tool_call_id": "c1"}).param == "messages[1].content"


@pytest.mark.parametrize(
    ("raw", "param"),
    [
        (None, "messages[1]"),
        ("hi", "messages[1]"),
        ([], "messages[1]"),
        ({}, "messages[1].role"),
        ({"content": "hi"}, "messages[1].role"),
        ({"role": None, "content": "hi"}, "messages[1].role"),
        ({"role": "User", "content": "hi"}, "messages[1].role"),
        ({"role": "bot", "content": "hi"}, "messages[1].role"),
        ({"role": ["user"], "content": "hi"}, "messages[1].role"),
        ({"role": {}, "content": "hi"}, "messages[1].role"),
        ({**HI, "name": 5}, "messages[1].name"),
        ({"role": "tool", "content": "42"}, "messages[1].tool_call_id"),
        ({"role": "tool", "content": "42", "tool_call_id": ""}, "messages[1].tool_call_id"),
        ({"role": "tool", "content": "42", "tool_call_id": 5}, "messages[1].tool_call_id"),
        ({"role": "assistant", "tool_calls": {}}, "messages[1].tool_calls"),
        ({"role": "assistant", "tool_calls": "x", "content": ""}, "messages[1].tool_calls"),
        ({"role": "assistant", "tool_calls": [], "content": None}, "messages[1].content"),
        ({"role": "assistant", "tool_calls": [5]}, "messages[1].tool_calls[0]"),
        ({"role": "assistant", "tool_calls": [{"id": "c1"}]}, "messages[1].tool_calls[0]"),
        ({"role": "assistant", "tool_calls": [{"id": "c1", "function": "up"}]}, "messages[1].tool_calls[0]"),
        ({"role": "assistant", "tool_calls": [CALL, {**CALL, "id": 5}]}, "messages[1].tool_calls[1].id"),
        ({"role": "assistant", "tool_calls": [{**CALL, "id": None}]}, "messages[1].tool_calls[0].id"),
        (
            {"role": "assistant", "tool_calls": [{"id": "c1", "function": {}}]},
            "messages[1].tool_calls[0].function.name",
        ),
        (
            {"role": "assistant", "tool_calls": [{"id": "c1", "function": {"name": "up", "arguments": {}}}]},
            "messages[1].tool_calls[0].function.arguments",
        ),
        ({"role": "user", "content": None, "tool_calls": [CALL]}, "messages[1].content"),
    ],
)
def test_the_param_of_a_malformed_message_is_its_path(raw: object, param: str):
    error = refusal(HI, raw)
    assert (type(error), error.param) == (InvalidRequest, param)
    assert f"`{param}" in error.message or "list of parts" in error.message


def test_the_error_of_an_unknown_role_lists_the_known_ones():
    message = refusal({"role": "bot", "content": "hi"}).message
    assert all(role in message for role in ROLES)


@pytest.mark.parametrize("role", ["assistant", "system", "tool"])
def test_only_user_messages_may_have_images(role: str):
    error = refusal(HI, {"role": role, "content": [image()], "tool_call_id": "c1"})
    assert (type(error), error.param) == (InvalidRequest, "messages[1].content[0]")


def test_the_param_of_an_unfit_image_is_its_path():
    error = refusal(HI, user(text("look"), image("https://example.org/x.png")))
    assert (type(error), error.param) == (UnsupportedValue, "messages[1].content[1].image_url")


def test_the_newest_user_message_may_have_eight_images_and_older_ones_more():
    assert len(load(user(*[image()] * 8)).messages[0].images) == 8
    assert len(load(user(*[image()] * 9), HI).messages) == 2
    error = refusal(HI, user(*[image()] * 9), {"role": "assistant", "content": "Many."})
    assert (type(error), error.param) == (InvalidRequest, "messages[1].content")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "role",
                    "content",
                    "type",
                    "text",
                    "image_url",
                    "url",
                    "tool_calls",
                    "function",
                    "id",
                    "name",
                ]
            ),
            inner | st.sampled_from([*ROLES, "text", "image_url", "function", PNG]),
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(st.lists(JSON, max_size=4))
def test_any_input_is_accepted_or_an_invalid_request(messages: list[Any]):
    try:
        load(*messages)
    except InvalidRequest as error:
        assert error.param  # noqa: PT017
