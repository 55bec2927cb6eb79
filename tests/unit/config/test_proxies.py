from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from app.config.build.proxies import proxy_for

if TYPE_CHECKING:
    from tests.unit.config.conftest import Operator

PROXY = "http://proxy:3128"


@pytest.mark.parametrize(
    ("base_url", "environ", "expected"),
    [
        ("https://llm.corp/v1", {"HTTPS_PROXY": PROXY}, PROXY),
        ("https://llm.corp/v1", {"https_proxy": "proxy:3128", "HTTPS_PROXY": "http://other"}, PROXY),
        ("https://llm.corp/v1", {"HTTP_PROXY": PROXY}, None),
        ("https://llm.corp/v1", {"ALL_PROXY": PROXY}, PROXY),
        ("https://llm.corp/v1", {"HTTPS_PROXY": " "}, None),
        ("http://llm.corp/v1", {"HTTP_PROXY": PROXY}, PROXY),
        ("http://llm.corp/v1", {"http_proxy": PROXY}, PROXY),
        ("http://llm.corp/v1", {"HTTPS_PROXY": PROXY}, None),
        ("https://llm.corp/v1", {"HTTPS_PROXY": "http://u:p%40@proxy:1/"}, "http://u:p%40@proxy:1"),
        ("http://localhost:8000/v1", {"HTTP_PROXY": PROXY}, None),
        ("http://api.localhost/v1", {"HTTP_PROXY": PROXY}, None),
        ("http://127.1.2.3/v1", {"HTTP_PROXY": PROXY}, None),
        ("http://[::1]:8000/v1", {"HTTP_PROXY": PROXY}, None),
    ],
)
def test_the_proxy_of_the_environment(base_url: str, environ: dict[str, str], expected: str | None):
    assert proxy_for(base_url, environ) == expected


@pytest.mark.parametrize(
    ("no_proxy", "base_url", "is_direct"),
    [
        ("*", "https://llm.corp/v1", True),
        ("llm.corp", "https://llm.corp/v1", True),
        ("LLM.Corp", "https://llm.corp/v1", True),
        ("corp", "https://llm.corp/v1", True),
        (".corp", "https://llm.corp/v1", True),
        ("*.corp", "https://llm.corp/v1", True),
        ("a.test, llm.corp", "https://llm.corp/v1", True),
        ("a.test llm.corp", "https://llm.corp/v1", True),
        ("lm.corp", "https://llm.corp/v1", False),
        ("llm.corp.test", "https://llm.corp/v1", False),
        ("llm.corp:443", "https://llm.corp/v1", True),
        ("llm.corp:8443", "https://llm.corp/v1", False),
        ("llm.corp:8443", "https://llm.corp:8443/v1", True),
        ("10.0.0.0/8", "https://10.1.2.3/v1", True),
        ("10.0.0.0/8", "https://11.1.2.3/v1", False),
        ("10.1.2.3", "https://10.1.2.3/v1", True),
        ("10.1.2.3:80", "https://10.1.2.3/v1", False),
        ("fd00::/8", "https://[fd00::1]/v1", True),
        ("fd00::1", "https://[fd00::1]/v1", True),
        ("[fd00::1]:443", "https://[fd00::1]/v1", True),
        ("10.0.0.0/99, ,/", "https://10.1.2.3/v1", False),
        ("", "https://llm.corp/v1", False),
    ],
)
@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
def test_hosts_that_are_reached_directly(name: str, no_proxy: str, base_url: str, is_direct: bool):
    found = proxy_for(base_url, {"HTTPS_PROXY": PROXY, name: no_proxy})
    assert found == (None if is_direct else PROXY)


@pytest.mark.parametrize("written", ["socks5://proxy:1080", "https://proxy", "http://", "http://p/x", "a b"])
def test_another_kind_of_proxy_is_refused_by_name_and_not_bypassed(operator: Operator, written: str):
    text = "{models: {providers: {a: {baseUrl: 'https://llm.corp/v1'}}}}"
    [problem] = operator.problems(text, HTTPS_PROXY=written)
    assert problem.startswith("environment: HTTPS_PROXY: must be an HTTP proxy")
    entry = "{models: {providers: {a: {baseUrl: 'https://llm.corp/v1', proxy: '" + written + "'}}}}"
    [problem] = operator.problems(entry)
    assert ".proxy: must be an HTTP proxy" in problem


def test_a_proxy_that_no_provider_needs_is_not_looked_at(operator: Operator):
    text = "{models: {providers: {a: {baseUrl: 'http://127.0.0.1:1/v1'}}}}"
    assert operator.load(text, ALL_PROXY="socks5://proxy:1080").providers["a"].proxy is None


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("https://x/v1?api-version=1", "https://x/v1?api-version=1"),
        ("https://x/v1/?api-version=1", "https://x/v1?api-version=1"),
        ("https://x/v1/chat/completions?api-version=1", "https://x/v1?api-version=1"),
        ("https://x/v1/chat/completions", "https://x/v1"),
        ("https://x/chat/completions/", "https://x"),
        ("https://x/v1?", "https://x/v1"),
    ],
)
def test_a_base_url_keeps_its_query_and_loses_the_path_that_is_added(
    operator: Operator, written: str, expected: str
):
    text = "{models: {providers: {a: {baseUrl: '" + written + "'}}}}"
    assert operator.load(text).providers["a"].base_url == expected


@pytest.mark.parametrize("written", ["https://x/v1?code=abc", "https://x?api_key=k", "https://x?a=1&sig=k"])
def test_a_secret_in_the_query_is_refused(operator: Operator, written: str):
    [problem] = operator.problems("{models: {providers: {a: {baseUrl: '" + written + "'}}}}")
    assert "send a key with `apiKey` or `headers`" in problem


@pytest.mark.parametrize("written", ["direct", "http://proxy:3128"])
def test_the_local_model_is_never_asked_through_a_proxy(operator: Operator, written: str):
    text = "{models: {providers: {local: {proxy: '" + written + "'}}}}"
    assert operator.load(text).providers["local"].proxy is None
