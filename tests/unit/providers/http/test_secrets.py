from __future__ import annotations

import pytest

from app.config.settings import ProviderSettings
from app.providers.http.secrets import secrets_of

SETTINGS = ProviderSettings(
    name="corp",
    api_key="api-key-canary",
    headers={
        "authorization": "Basic YmFzaWMtY2FuYXJ5",
        "x-portkey": "header-canary",
        "cookie": "session=cookie-canary; path=/",
        "user-agent": "gateway-of-corp",
        "x-team": "a",
    },
    proxy="http://user:proxy-canary@proxy:3128",
)


@pytest.mark.parametrize(
    "secret",
    [
        "api-key-canary",
        "Basic YmFzaWMtY2FuYXJ5",
        "YmFzaWMtY2FuYXJ5",
        "header-canary",
        "cookie-canary",
        "proxy-canary",
    ],
)
def test_what_the_configuration_sends_is_removed_from_messages(secret: str):
    assert secrets_of(SETTINGS).remove_from(f"you sent <{secret}>, a team") == "you sent <[key]>, a team"


def test_headers_that_are_no_secrets_stay():
    message = "gateway-of-corp is not allowed"
    assert secrets_of(SETTINGS).remove_from(message) == message


@pytest.mark.parametrize("key", ["x", "ollama", "lm-studio", "EMPTY", "not-needed", "sk-no-key-required"])
def test_a_dummy_key_is_not_cut_out_of_messages(key: str):
    message = f"maximum context: {key} is not loaded in exa-{key}-mple"
    assert secrets_of(ProviderSettings(name="a", api_key=key)).remove_from(message) == message
