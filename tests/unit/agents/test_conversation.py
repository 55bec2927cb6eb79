"""Conversations are put in the order that models' providers accept."""

from __future__ import annotations

import json
import re
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.agents.conversation import put_in_order
from app.messages import ImagePart, Message, PlainMessage, PlainMessages, TextPart, ToolCall

TOLD = "[Result of the tool call {}]\n"
IMAGE = ImagePart("image/png", "AAAA")


def user(content="hi", name=None):
    return Message("user", content, name=name)


def assistant(text="", *ids, arguments="{}"):
    return Message("assistant", text, tuple(ToolCall(one, "f", arguments) for one in ids))


def result(call_id, text="21"):
    return Message("tool", text, tool_call_id=call_id)


IN_ORDER = [
    (user(),),
    (user(), assistant("hello"), user("bye")),
    (user(), assistant("beginning of an ans")),
    (assistant("greeting"), user()),
    (user(), assistant("", "a"), result("a")),
    (user(), assistant("text", "a", "b"), result("b"), result("a"), assistant("done"), user("and?")),
    (user(), assistant("", "a"), result("a", ""), user("and?")),
    (user(), assistant("", "a"), result("a"), assistant("", "a"), result("a")),  # the id is used again
    (user((TextPart("see"), IMAGE)), assistant("a dog"), user()),
    (user(""),),
]


@pytest.mark.parametrize("messages", IN_ORDER)
def test_a_conversation_in_order_stays_as_it_is(messages):
    ordered = put_in_order(messages)
    assert ordered.messages == messages
    assert list(ordered.unpaired) == []


@pytest.mark.parametrize(
    "messages",
    [
        (user(), assistant("hello"), user("bye")),
        PlainMessages([PlainMessage("user", "a"), PlainMessage("assistant", "b"), PlainMessage("user", "c")]),
        PlainMessages([PlainMessage("user", "a")]),
    ],
)
def test_plain_text_in_order_passes_as_the_same_object(messages):
    assert put_in_order(messages).messages is messages


@pytest.mark.parametrize(
    ("given", "expected", "unpaired"),
    [
        # Neighbouring questions are joined.
        ((user("a"), user("b"), user("c")), (user("a\n\nb\n\nc"),), []),
        ((user("a"), user(" "), user("b")), (user("a\n\nb"),), []),
        ((user("a", "Ann"), user("b", "Ann")), (user("a\n\nb", "Ann"),), []),
        ((user("a", "Ann"), user("b", "Bob"), user("c")), (user("Ann: a\n\nBob: b\n\nc"),), []),
        ((user("a"), user((IMAGE,))), (user((TextPart("a"), IMAGE)),), []),
        (
            (user((TextPart("a"), IMAGE), "Ann"), user("b")),
            (user((TextPart("Ann:"), TextPart("a"), IMAGE, TextPart("b"))),),
            [],
        ),
        # So are neighbouring answers.
        (
            (user(), assistant("one"), assistant("two"), user()),
            (user(), assistant("one\n\ntwo"), user()),
            [],
        ),
        (
            (user(), assistant("one"), assistant("", "c"), result("c"), assistant("two"), assistant("three")),
            (user(), assistant("one", "c"), result("c"), assistant("two\n\nthree")),
            [],
        ),
        (
            (
                user(),
                assistant("one"),
                Message("assistant", " ", refusal="No."),
                assistant("", "c"),
                user("b"),
            ),
            (user(), assistant("one\n\nNo."), user("b")),
            [3],
        ),
        # Answers without any content are left out, and so the questions around them are neighbours.
        ((user("a"), assistant(), user("b")), (user("a\n\nb"),), []),
        ((user("a"), assistant(" \n"), user("b")), (user("a\n\nb"),), []),
        ((user("a"), assistant()), (user("a"),), []),
        # Calls without a result, results without a call.
        ((user("a"), assistant("", "c"), user("b")), (user("a\n\nb"),), [1]),
        ((user("a"), assistant("text", "c"), user("b")), (user("a"), assistant("text"), user("b")), [1]),
        ((user("a"), assistant("", "c")), (user("a"),), [1]),
        (
            (user(), assistant("", "c", "d"), result("d"), user("b")),
            (user(), assistant("", "d"), result("d"), user("b")),
            [1],
        ),
        ((user("a"), result("x"), user("b")), (user("a\n\nb"),), [1]),
        ((result("x"), user("b")), (user("b"),), [0]),
        ((user("a"), assistant("b"), result("x"), user("c")), (user("a"), assistant("b"), user("c")), [2]),
        # Results without a call where nothing else is to be answered.
        ((result("x"), result("y", "")), (user(f"{TOLD.format('x')}21\n\n{TOLD.format('y')}"),), [0, 1]),
        (
            (user(), assistant("ok"), result("x")),
            (user(), assistant("ok"), user(f"{TOLD.format('x')}21")),
            [2],
        ),
        (
            (user(), assistant("ok"), result("x"), assistant("thanks"), user("bye")),
            (user(), assistant("ok"), user(f"{TOLD.format('x')}21"), assistant("thanks"), user("bye")),
            [2],
        ),
        (
            (user("a"), assistant("", "c"), user("wait"), assistant("ok"), result("c")),
            (user("a\n\nwait"), assistant("ok"), user(f"{TOLD.format('c')}21")),
            [1, 4],
        ),
        # A result too late: the conversation has gone on.
        (
            (user("a"), assistant("", "c"), user("b"), assistant("ok"), result("c"), user("d")),
            (user("a\n\nb"), assistant("ok"), user("d")),
            [1, 4],
        ),
        # Something between a call and its results, and results between the calls of two messages.
        (
            (user(), assistant("", "c"), user("wait"), result("c")),
            (user(), assistant("", "c"), result("c"), user("wait")),
            [],
        ),
        # Two results for one call: the newer one.
        (
            (user(), assistant("", "c"), result("c", "failed"), result("c", "21")),
            (user(), assistant("", "c"), result("c", "21")),
            [2],
        ),
        # One id for two calls.
        (
            (user(), assistant("", "c", "c"), result("c", "1"), result("c", "2")),
            (user(), assistant("", "c", "c"), result("c", "1"), result("c", "2")),
            [],
        ),
        ((user(), assistant("", "c", "c"), result("c")), (user(), assistant("", "c"), result("c")), [1]),
        # Calls that were cut before they had a name or an id.
        ((user("a"), assistant("", ""), user("b")), (user("a\n\nb"),), [1]),
        (
            (user("a"), Message("assistant", "", (ToolCall("c", "", "{}"),)), result("c"), user("b")),
            (user("a\n\nb"),),
            [1, 2],
        ),
    ],
)
def test_what_providers_refuse_is_repaired_or_left_out(given, expected, unpaired):
    ordered = put_in_order(given)
    assert ordered.messages == expected
    assert list(ordered.unpaired) == unpaired


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ('{"a": 1}', '{"a": 1}'),
        ("{}", "{}"),
        ("", "{}"),
        ("  ", "{}"),
        ("null", "{}"),
        ('{"city": "Par', '{"arguments":"{\\"city\\": \\"Par"}'),
        ("{'a': 1}", '{"arguments":"{\'a\': 1}"}'),
        ('{"a": NaN}', '{"arguments":"{\\"a\\": NaN}"}'),
        ("[1]", '{"arguments":[1]}'),
        ("[" * 5000, '{"arguments":"' + "[" * 5000 + '"}'),
    ],
)
def test_arguments_go_back_as_a_json_object(written, sent):
    messages = (user(), assistant("", "c", arguments=written), result("c"))
    (call,) = put_in_order(messages).messages[1].tool_calls
    assert call == ToolCall("c", "f", sent)


ids = st.sampled_from(["a", "b", "c", ""])
texts = st.sampled_from(["", " ", "x", "y"])
calls = st.builds(ToolCall, ids, st.sampled_from(["f", "g", ""]), st.sampled_from(["{}", "", '{"a', "[]"]))
conversations = st.lists(
    st.builds(
        user,
        texts | st.just((IMAGE,)) | st.just((TextPart("z"), IMAGE)),
        st.sampled_from([None, None, "Ann", "Bob"]),
    )
    | st.builds(
        lambda text, calls: Message("assistant", text, tuple(calls)), texts, st.lists(calls, max_size=3)
    )
    | st.builds(result, ids.filter(bool), texts),
    max_size=12,
)


@given(conversations)
def test_any_conversation_comes_into_order(messages):
    ordered = put_in_order(messages)
    assert_in_order(ordered.messages)
    # Nothing that can be sent is lost: the user's texts and images, the assistant's texts, in their order.
    for role in ("user", "assistant"):
        assert words(ordered.messages, role) == words(messages, role)
    if messages and messages[-1].role != "assistant":
        assert ordered.messages[-1].role != "assistant"
    pictures = [len(one.images) for one in messages], [len(one.images) for one in ordered.messages]
    assert sum(pictures[0]) == sum(pictures[1])
    # Once in order, it stays as it is.
    again = put_in_order(ordered.messages)
    assert again.messages == ordered.messages
    assert list(again.unpaired) == []


@given(conversations)
def test_what_is_marked_is_what_lacks_something(messages):
    ordered = put_in_order(messages)
    assert sorted(set(ordered.unpaired)) == sorted(ordered.unpaired)
    marked = [messages[place] for place in ordered.unpaired]
    sent = Counter(one.tool_call_id for one in ordered.messages if one.role == "tool")
    stray = Counter(one.tool_call_id for one in marked if one.role == "tool")
    assert sent + stray == Counter(one.tool_call_id for one in messages if one.role == "tool")
    assert all(one.role == "tool" or one.tool_calls for one in marked)


def assert_in_order(messages):
    roles = [one.role for one in messages]
    assert all(before != after or after == "tool" for before, after in pairwise(roles))
    open_calls: Counter[str] = Counter()
    for message in messages:
        if message.role == "tool":
            assert open_calls[message.tool_call_id] > 0, messages
            open_calls[message.tool_call_id] -= 1
            continue
        assert not open_calls.total(), messages
        if message.role == "assistant":
            assert message.text.strip() or message.tool_calls
        for call in message.tool_calls:
            assert "" not in (call.id, call.name)
            assert isinstance(json.loads(call.arguments), dict)
            open_calls[call.id] += 1
    assert not open_calls.total(), messages


def words(messages, role):
    """The words in the texts of the role, without names and results."""
    texts = [one.text for one in messages if one.role == role]
    found = re.sub(r"\[Result of the tool call .\]\n[xy ]?", "", "\n\n".join(texts)).split()
    return [one for one in found if one not in ("Ann:", "Bob:")]
