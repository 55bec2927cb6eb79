"""Changed settings of a provider are used by the next call, without a restart; calls under way go on."""

from __future__ import annotations

from pathlib import Path
from threading import Event

import pytest

from tests.e2e.conftest import StartGateway
from tests.support.gateway import TOKEN, GatewayProcess, config_for
from tests.support.provider import ScriptedProvider, done, finish, respond, says, text, wait_for, wait_until


def test_a_changed_address_and_key_are_used_by_the_next_call(
    start_gateway: StartGateway, provider: ScriptedProvider
) -> None:
    provider.always(says("from the first"))
    gateway = start_gateway(config_for(provider.url))
    assert gateway.ask("hi").text == "from the first"
    with ScriptedProvider() as other:
        other.always(says("from the second"))
        config = config_for(other.url)
        config["models"]["providers"]["test"]["apiKey"] = "another-provider-key"
        gateway.write_config(config)
        wait_until(lambda: gateway.ask("hi").text == "from the second", 30, "other answer")
        assert other.headers[-1]["authorization"] == "Bearer another-provider-key"
        before = len(provider.requests)
        assert gateway.ask("hi").text == "from the second"
        assert len(provider.requests) == before


def test_an_answer_under_way_comes_from_the_provider_it_began_with(
    start_gateway: StartGateway, provider: ScriptedProvider
) -> None:
    gateway = start_gateway(config_for(provider.url))
    with ScriptedProvider() as other:
        other.always(says("from the second"))
        provider.plays([text("from "), wait_for(changed := Event()), text("the first"), finish(), done()])
        with gateway.stream("hi") as answer:
            provider.wait_for_requests(1, seconds=20)  # else the next request may be given its script
            gateway.write_config(config_for(other.url))
            wait_until(
                lambda: gateway.ask("hi").text == "from the second", 30, "answer of the second provider"
            )
            assert provider.open == 1, "the first answer has not ended yet"
            changed.set()
            body = answer.read()
    assert b"the first" in body
    assert b"[DONE]" in body


def test_a_key_with_a_line_end_is_one_header_of_one_request(
    start_gateway: StartGateway, provider: ScriptedProvider
) -> None:
    config = config_for(provider.url)
    config["models"]["providers"]["test"]["apiKey"] = "provider-key-canary\r\n"
    config["gateway"]["auth"]["token"] = f" {TOKEN}\n"
    gateway = start_gateway(config)
    assert [gateway.ask("hi").status for _ in range(2)] == [200, 200]
    assert [one["authorization"] for one in provider.headers] == ["Bearer provider-key-canary"] * 2


def test_configured_headers_double_none_of_ours(
    start_gateway: StartGateway, provider: ScriptedProvider
) -> None:
    config = config_for(provider.url)
    config["models"]["providers"]["test"]["headers"] = {
        "HOST": "elsewhere.example",
        "Content-length": "1",
        "transfer-encoding": "chunked",
        "Connection": "close",
        "user-agent": "corp",
        "AUTHORIZATION": "Basic Y29ycDpzZWNyZXQ=",
        "X-Team": "a",
    }
    gateway = start_gateway(config)
    assert [gateway.ask("hi").status for _ in range(2)] == [200, 200]
    sent = provider.headers[-1]
    assert sent["host"] == provider.url.split("/")[2]
    assert (sent["user-agent"], sent["x-team"]) == ("corp", "a")
    assert sent["authorization"] == "Basic Y29ycDpzZWNyZXQ="
    assert "transfer-encoding" not in sent
    names = provider.header_names[-1]
    assert sorted(names) == sorted(set(names))
    assert "connection, content-length, host, transfer-encoding" in gateway.log


@pytest.mark.parametrize(
    ("path", "given"),
    [("apiKey", "one\r\nX-Admin: 1"), ("headers.x-team", "one\nX-Admin: 1"), ("headers.x-team", "\x1b[2J")],
)
def test_control_characters_within_are_refused_at_the_start_by_the_path_of_their_key(
    tmp_path: Path, path: str, given: str
) -> None:
    config = config_for("http://127.0.0.1:9/v1")
    provider = config["models"]["providers"]["test"]
    key, _, name = path.partition(".")
    provider[key] = {name: given} if name else given
    gateway = GatewayProcess(tmp_path, config)
    assert gateway.spawn().wait(30) != 0
    assert f"models.providers.test.{path}: must" in gateway.log
    assert "X-Admin" not in gateway.log


def test_the_key_and_the_prompt_go_to_the_base_url_that_the_environment_names(
    start_gateway: StartGateway, provider: ScriptedProvider
) -> None:
    config = {**config_for(provider.url), "agents": {}, "models": {}}
    gateway = start_gateway(config, OPENAI_API_KEY="provider-key-canary", OPENAI_BASE_URL=provider.url)
    assert gateway.ask("hi").text == "echo: hi"
    assert provider.headers[-1]["authorization"] == "Bearer provider-key-canary"
    assert provider.requests[-1]["model"] == "gpt-4.1-mini"


@pytest.mark.parametrize(
    "model", [None, "openrouter/auto", "openrouter/openrouter/auto", "openrouter/a/b:free"]
)
def test_openrouters_models_are_sent_with_their_full_ids(
    start_gateway: StartGateway, provider: ScriptedProvider, model: str | None
) -> None:
    agents = {"defaults": {"model": model}} if model else {}
    config = {**config_for(provider.url), "agents": agents, "models": {}}
    gateway = start_gateway(config, OPENROUTER_API_KEY="k", OPENROUTER_BASE_URL=provider.url)
    assert gateway.ask("hi").text == "echo: hi"
    sent = "a/b:free" if model == "openrouter/a/b:free" else "openrouter/auto"
    assert provider.requests[-1]["model"] == sent


@pytest.mark.parametrize("status", [400, 403, 429, 500, 200])
def test_secret_headers_are_in_no_message_and_no_log(
    start_gateway: StartGateway, provider: ScriptedProvider, status: int
) -> None:
    config = config_for(provider.url)
    secrets = ["header-secret-canary", "YmFzaWMtY2FuYXJ5"]
    config["models"]["providers"]["test"]["headers"] = {
        "X-Corp-Key": secrets[0],
        "Authorization": f"Basic {secrets[1]}",
    }
    gateway = start_gateway(config)
    provider.always([respond(status, {"error": {"message": f"why: {secrets[0]} and {secrets[1]}"}})])
    shown = gateway.ask("hi").body.decode() + gateway.ask("hi", stream=True).body.decode()
    assert "why: [key] and [key]" in shown
    for secret in secrets:
        assert secret not in shown + gateway.log


def test_a_dummy_key_is_cut_out_of_no_message(
    start_gateway: StartGateway, provider: ScriptedProvider
) -> None:
    config = config_for(provider.url)
    for key in ("x", "ollama"):
        config["models"]["providers"]["test"]["apiKey"] = key
        gateway = start_gateway(config)
        provider.always([respond(400, {"error": {"message": "exact reason: ollama has no such model"}})])
        assert gateway.ask("hi").error["message"] == "exact reason: ollama has no such model"
