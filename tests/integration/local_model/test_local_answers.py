"""What the local model answers, through the provider that the gateway uses."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from app.cancel import Cancel
from app.errors import ContextLengthExceeded, RunAborted
from app.events.types import ModelEvent, ModelFinished, TextDelta, ToolCallDelta
from app.messages import Message, ToolSpec
from app.providers.base import ModelCall
from app.providers.local.provider import LocalProvider
from app.providers.local.supervisor import LocalModel
from tests.support.provider import wait_until

pytestmark = [pytest.mark.local_model, pytest.mark.timeout(600)]


def a_call(text: str, **params: object) -> ModelCall:
    return ModelCall("smollm2", (Message("user", text),), params)


def ask(provider: LocalProvider, text: str, **params: object) -> list[ModelEvent]:
    return list(provider.stream(a_call(text, **params), Cancel()))


def text_of(events: list[ModelEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def is_idle(process: psutil.Process) -> bool:
    before = cpu_seconds(process)
    time.sleep(0.5)
    return cpu_seconds(process) - before < 0.1


@pytest.mark.slow
def test_it_answers_a_question_in_pieces_and_counts_its_tokens(lasting_provider: LocalProvider):
    events = ask(lasting_provider, "Name three colours.")
    pieces = [event for event in events if isinstance(event, TextDelta)]
    end = events[-1]
    assert len(pieces) > 1
    assert text_of(events).strip()
    assert isinstance(end, ModelFinished)
    assert end.usage is not None
    assert end.usage.prompt_tokens > 5
    # One piece for each token, except that tokens of one letter come together and the last ends the answer.
    assert len(pieces) <= end.usage.completion_tokens <= 2 * len(pieces) + 2
    assert not end.usage.estimated


def test_it_stops_at_the_limit_and_says_so(lasting_provider: LocalProvider):
    end = ask(lasting_provider, "Write a long story.", max_tokens=5)[-1]
    assert isinstance(end, ModelFinished)
    assert end.reason == "length"
    assert end.usage is not None
    assert end.usage.completion_tokens == 5


@pytest.mark.slow
def test_calls_in_a_row_never_use_a_closed_connection(lasting_provider: LocalProvider):
    for _ in range(30):
        assert isinstance(ask(lasting_provider, "Hello!", max_tokens=1)[-1], ModelFinished)


@pytest.mark.slow
def test_it_follows_a_json_schema(lasting_provider: LocalProvider):
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
        "required": ["name", "age"],
        "additionalProperties": False,
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "person", "strict": True, "schema": schema}}
    events = ask(lasting_provider, "Anna is 31 years old.", response_format=wanted, max_tokens=100)
    assert json.loads(text_of(events)).keys() == {"name", "age"}


def test_a_conversation_that_is_too_long_is_refused(lasting_provider: LocalProvider):
    with pytest.raises(ContextLengthExceeded, match="4096"):
        ask(lasting_provider, "hello " * 5000)


@pytest.mark.slow
def test_four_calls_are_answered_at_the_same_time(lasting_provider: LocalProvider):
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda n: ask(lasting_provider, f"Say {n}.", max_tokens=40), range(4)))
    assert all(text_of(events).strip() for events in answers)


def test_the_model_stops_generating_when_the_run_is_cancelled(
    provider: LocalProvider, child_pid: Callable[[], int]
):
    cancel = Cancel()
    events = provider.stream(a_call("Write a very long story.", ignore_eos=True), cancel)
    assert isinstance(next(events), TextDelta)
    cancel.cancel(RunAborted("the client has left"))
    with pytest.raises(RunAborted):
        list(events)
    child = psutil.Process(child_pid())
    before = cpu_seconds(child)
    wait_until(lambda: is_idle(child), 100, "pause of the model")
    assert cpu_seconds(child) - before < 3  # the whole story takes ten times as long


def test_the_server_asks_for_a_key_that_only_our_user_can_read(
    model: LocalModel, tmp_path: Path, child_pid: Callable[[], int]
):
    address = model.address()
    assert (tmp_path / "local-model.json").stat().st_mode & 0o077 == 0
    assert address.api_key not in repr(address)
    assert address.api_key not in " ".join(psutil.Process(child_pid()).cmdline())
    with pytest.raises(urllib.error.HTTPError, match="401") as refused:
        urllib.request.urlopen(f"{address.base_url}/chat/completions", data=b"{}")
    refused.value.close()


@pytest.mark.slow
def test_it_calls_a_tool_if_it_has_to(lasting_provider: LocalProvider):
    path = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
    call = ModelCall(
        "smollm2",
        (Message("user", "Read the file notes.txt, please."),),
        {"temperature": 0, "seed": 1, "max_tokens": 60},
        (ToolSpec("read", "Read a file.", path),),
        "required",
    )
    delta, end = lasting_provider.stream(call, Cancel())
    assert isinstance(delta, ToolCallDelta)
    assert delta.name == "read"
    assert list(json.loads(delta.arguments)) == ["path"]
    assert isinstance(end, ModelFinished)
    assert end.reason == "tool_calls"
