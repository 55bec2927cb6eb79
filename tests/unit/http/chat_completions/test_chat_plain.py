"""The fast path for bodies of plain text: it gives the same result as the schema, or none."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.config.settings import ChatCompletionsSettings
from app.errors import GatewayError
from app.http.chat_completions.messages import Conversation, load_conversation
from app.http.chat_completions.plain import read_plain
from app.http.chat_completions.schema import ChatCompletionSchema
from app.http.request_body import parse_object
from app.messages import Message, PlainMessage, PlainMessages

HI = {"role": "user", "content": "hi"}
LIMITS = ChatCompletionsSettings()

ROLES = ["user", "assistant", "system", "developer", "tool", 5]
MESSAGES = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(ROLES), "content": st.text()})
    | st.just({"role": "user", "content": None})
    | st.just({"role": "assistant", "content": "x", "name": "n"})
    | st.just("hi"),
    max_size=4,
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from(sorted(ChatCompletionSchema().fields)) | st.text()
BODIES = st.builds(
    lambda rest, messages: {**rest, "messages": messages},
    st.dictionaries(FIELDS, JSON, max_size=4),
    MESSAGES | JSON,
)


def plain(body: object, *, ascii_only: bool = True) -> dict[str, Any] | None:
    return read_plain(json.dumps(body, ensure_ascii=ascii_only).encode())


def load(*messages: Any) -> Conversation:
    body = plain({"messages": messages})
    assert body is not None
    return load_conversation(body["messages"], LIMITS)


def as_objects(body: dict[str, Any]) -> dict[str, Any]:
    messages = body.get("messages") or ()
    objects = [{"role": one.role, "content": one.content} for one in messages]
    return {**body, "messages": objects} if messages else body


@given(MESSAGES, st.booleans())
def test_the_conversation_is_the_same(raw: list[Any], ascii_only: bool):
    def outcome(messages: Any) -> object:
        try:
            return load_conversation(messages, LIMITS)
        except GatewayError as error:
            return error.code, error.param

    if body := plain({"messages": raw}, ascii_only=ascii_only):
        assert outcome(body["messages"]) == outcome(raw)


@given(BODIES, st.binary(max_size=2), st.floats(0, 1), st.booleans())
def test_the_body_is_the_same_with_any_other_field(
    body: dict[str, Any], noise: bytes, where: float, ascii_only: bool
):
    text = json.dumps(body, ensure_ascii=ascii_only).encode()
    place = round(where * len(text))
    text = text[:place] + noise + text[place:]
    if (read := read_plain(text)) is not None:
        known = ChatCompletionSchema().fields.keys()
        long_way = {name: value for name, value in parse_object(text).items() if name in known}
        assert as_objects(read) == long_way


def test_text_is_unchanged_and_instructions_are_separated():
    loaded = load({"role": "system", "content": "Be brief."}, HI, {"content": "ä\n", "role": "assistant"}, HI)
    assert isinstance(loaded.messages, PlainMessages)
    hi = Message("user", "hi")
    assert loaded == Conversation((hi, Message("assistant", "ä\n"), hi), "Be brief.")  # type: ignore[arg-type]
    late = {"role": "system", "content": "In French."}
    assert load({"role": "system", "content": ""}, HI) == Conversation(PlainMessages([hi]), None)  # type: ignore[list-item]
    assert (
        load({"role": "system", "content": "Be brief."}, HI, late).instructions == "Be brief.\n\nIn French."
    )
    assert load(HI, late).messages == (hi,)


@pytest.mark.parametrize(
    "message",
    [
        {**HI, "name": "Ann"},
        {"role": "user", "content": [{"type": "text", "text": "hi"}]},
        {"role": "assistant", "content": None, "tool_calls": []},
        {"role": "tool", "content": "4", "tool_call_id": "c"},
        {"role": "user"},
        {"role": "User", "content": "hi"},
        "hi",
        None,
    ],
)
def test_any_other_message_takes_the_slow_path(message: object):
    assert plain({"messages": [HI, message]}) is None


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b'{"messages": []} x',
        b'{"other": "\xff"}',
        b'{"user": "\xff"}',
        b'{"user": "\\ud800"}',
        b'{"other": ' + b"[" * 100_000,
        b'{"tools": ' + b"[" * 100_000,
        b'{"seed": ' + b"9" * 5_000 + b"}",
        b'\xef\xbb\xbf{"messages": []}',
    ],
)
def test_invalid_bodies_take_the_slow_path(text: bytes):
    assert read_plain(text) is None


def test_a_plain_message_has_the_fields_that_are_sent_to_providers():
    body = plain({"messages": [HI], "other": 1, "model": "openclaw"})
    assert body == {"messages": [PlainMessage("user", "hi")], "model": "openclaw"}
