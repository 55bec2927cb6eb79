"""`/openapi.json` against the running gateway: requests are generated from it, answers validated by it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jsonschema_rs
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.support.gateway import TOKEN, GatewayProcess
from tests.support.provider import ScriptedProvider, cut, done, finish, text, tool_call, usage
from tests.support.runs import start

CHAT = "/v1/chat/completions"
SESSIONS = [
    ("/v1/sessions", "GET"),
    ("/v1/sessions/{key}", "GET"),
    ("/v1/sessions/{key}", "PATCH"),
    ("/v1/sessions/{key}", "DELETE"),
    ("/v1/sessions/{key}/history", "GET"),
    ("/v1/sessions/{key}/reset", "POST"),
    ("/v1/sessions/{key}/compact", "POST"),
    ("/v1/sessions/{key}/fork", "POST"),
    ("/v1/sessions/{key}/export", "GET"),
    ("/v1/sessions/{key}/import", "POST"),
    ("/v1/sessions/import", "POST"),
]
RUNS = [
    ("/v1/runs", "GET"),
    ("/v1/runs/{id}", "GET"),
    ("/v1/runs/{id}/events", "GET"),
    ("/v1/runs/{id}/cancel", "POST"),
]
OPEN = ("/v1/models", "/health", "/healthz", "/ready", "/readyz", "/metrics", "/openapi.json")
BEARER = {"Authorization": f"Bearer {TOKEN}"}
WHOLE = ("max_tokens", "max_completion_tokens", "seed", "n")


def no_fault(ctx: Any, response: schemathesis.Response, case: schemathesis.Case) -> None:
    """The echoing model calls no tool, and a request may demand one."""
    if response.status_code != 502 or response.json()["error"]["code"] != "tool_choice_unmet":
        not_a_server_error(ctx, response, case)


CHECKS = [
    no_fault,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
]


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session


@pytest.fixture
def schema(gateway: GatewayProcess) -> Any:
    return schemathesis.openapi.from_url(f"{gateway.url}/openapi.json")


def run(strategy: Any, try_one: Callable[[schemathesis.Case], None], examples: int = 20) -> None:
    quiet = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}
    # What fails is shown as it was found: to make one of these bodies smaller takes minutes.
    settings(max_examples=examples, derandomize=True, phases=[Phase.generate], **quiet)(
        given(strategy)(try_one)
    )()


@pytest.mark.slow
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=lambda one: one.name)
def test_a_chat_is_answered_as_documented(
    schema: Any, session: requests.Session, mode: GenerationMode
) -> None:
    def try_one(case: schemathesis.Case) -> None:
        case.call_and_validate(session=session, headers=BEARER, checks=CHECKS, timeout=10)

    run(schema[CHAT]["POST"].as_strategy(generation_mode=mode), try_one, 150)


@pytest.mark.slow
def test_what_the_document_allows_is_accepted(schema: Any, session: requests.Session) -> None:
    def try_one(case: schemathesis.Case) -> None:
        case.headers.clear()
        case.body["model"] = "openclaw:main"
        for name in WHOLE:  # 1.0 is an integer to JSON Schema
            if case.body.get(name) is not None:
                case.body[name] = int(case.body[name])
        response = case.call(session=session, headers=BEARER, timeout=10)
        assert response.status_code in (200, 202, 400, 502), response.text
        if response.status_code == 400:
            assert is_beyond_a_schema(response.json()["error"]), response.text

    run(schema[CHAT]["POST"].as_strategy(generation_mode=GenerationMode.POSITIVE), try_one, 150)


def is_beyond_a_schema(error: dict[str, str]) -> bool:
    """What no JSON schema can say: tools' names that collide or are not there, bytes that are no image, too
    many images, a stream in the background."""
    if error["message"].endswith("a message may have at most 8 images."):
        return True
    return error["param"] in ("tools", "tool_choice", "background") or error["param"].endswith(".image_url")


@pytest.mark.parametrize("path", OPEN)
def test_the_other_paths_answer_as_documented(schema: Any, session: requests.Session, path: str) -> None:
    def try_one(case: schemathesis.Case) -> None:
        case.call_and_validate(session=session, headers=BEARER, checks=CHECKS, timeout=10)

    run(schema[path]["GET"].as_strategy(), try_one)


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=lambda one: one.name)
def test_a_model_is_answered_as_documented(
    schema: Any, session: requests.Session, mode: GenerationMode
) -> None:
    def try_one(case: schemathesis.Case) -> None:
        case.call_and_validate(session=session, headers=BEARER, checks=CHECKS, timeout=10)

    run(schema["/v1/models/{id}"]["GET"].as_strategy(generation_mode=mode), try_one)


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=lambda one: one.name)
@pytest.mark.parametrize(("path", "method"), SESSIONS)
def test_sessions_are_answered_as_documented(
    gateway: GatewayProcess,
    schema: Any,
    session: requests.Session,
    path: str,
    method: str,
    mode: GenerationMode,
) -> None:
    """Every other one of those that are made up is asked of a session that exists."""
    body = {"model": "openclaw", "messages": [{"role": "user", "content": "hi"}]}
    tried = 0

    def try_one(case: schemathesis.Case) -> None:
        nonlocal tried
        tried += 1
        if "key" in case.path_parameters and tried % 2:
            case.path_parameters["key"] = "notes"
            if method == "DELETE" or tried == 1:
                assert gateway.chat(body, x_openclaw_session_key="notes").status == 200
        case.call_and_validate(session=session, headers=BEARER, checks=CHECKS, timeout=10)

    run(schema[path][method].as_strategy(generation_mode=mode), try_one, 30)


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=lambda one: one.name)
@pytest.mark.parametrize(("path", "method"), RUNS)
def test_runs_are_answered_as_documented(
    gateway: GatewayProcess,
    schema: Any,
    session: requests.Session,
    path: str,
    method: str,
    mode: GenerationMode,
) -> None:
    """Every other one of those that are made up is asked of a run that exists."""
    known = [start(gateway), gateway.ask("hi").headers["X-OpenClaw-Run-Id"]]
    tried = 0

    def try_one(case: schemathesis.Case) -> None:
        nonlocal tried
        tried += 1
        if "id" in case.path_parameters and tried % 2:
            case.path_parameters["id"] = known[tried // 2 % 2]
        case.call_and_validate(session=session, headers=BEARER, checks=CHECKS, timeout=10)

    run(schema[path][method].as_strategy(generation_mode=mode), try_one, 30)


@pytest.mark.parametrize("path", [CHAT, *OPEN])
def test_without_the_secret_it_answers_as_documented(
    schema: Any, session: requests.Session, path: str
) -> None:
    operation = next(iter(schema[path].values()))

    def try_one(case: schemathesis.Case) -> None:
        response = case.call(session=session, timeout=10)
        assert (response.status_code == 401) == bool(operation.definition.raw.get("security", True)), path
        case.validate_response(response, checks=CHECKS)

    run(operation.as_strategy(), try_one, 3)


def test_tool_calls_and_chunks_are_the_documented_ones(
    gateway: GatewayProcess, provider: ScriptedProvider
) -> None:
    """Requests made from the document seldom get that far."""
    components = gateway.request("GET", "/openapi.json").json["components"]

    def check(name: str, document: Any) -> None:
        schema = {"$ref": f"#/components/schemas/{name}", "components": components}
        jsonschema_rs.validate(schema, document)

    call = [tool_call(0, "call_1", "get_weather"), tool_call(0, arguments='{"city": "Paris"}')]
    provider.always([text("Let me see."), *call, finish("tool_calls"), usage(9, 5), done()])
    tools = [{"type": "function", "function": {"name": "get_weather"}}]
    check("ChatCompletion", gateway.ask("Rain?", tools=tools).json)
    streamed = gateway.ask("Rain?", tools=tools, stream=True, stream_options={"include_usage": True})
    *chunks, end = streamed.events()
    assert end == "[DONE]"
    assert len(chunks) == 6
    for chunk in chunks:
        check("ChatCompletionChunk", chunk)
    provider.always([text("Let me"), cut()])
    check("Error", gateway.ask("Rain?", stream=True).events()[-2])
