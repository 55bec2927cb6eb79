"""Changed settings of a provider are used by the next call, without a restart; calls under way go on."""

from __future__ import annotations

from threading import Event

from tests.e2e.conftest import StartGateway
from tests.support.gateway import config_for
from tests.support.provider import ScriptedProvider, done, finish, says, text, wait_for, wait_until


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
        wait_until(lambda: gateway.ask("hi").text == "from the second", 10, "other answer")
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
            gateway.write_config(config_for(other.url))
            wait_until(
                lambda: gateway.ask("hi").text == "from the second", 10, "answer of the second provider"
            )
            assert provider.open == 1, "the first answer has not ended yet"
            changed.set()
            body = answer.read()
    assert b"the first" in body
    assert b"[DONE]" in body
