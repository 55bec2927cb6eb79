"""How a gateway reaches its providers: proxies, private certificate authorities, addresses with a query."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import StartGateway
from tests.support.certificates import NAME, Certificates, make_certificates
from tests.support.gateway import config_for, read_until
from tests.support.http_proxy import HttpProxy
from tests.support.provider import ScriptedProvider, text

PASSWORD = "proxy-password-canary"
USER = f"us%40er:{PASSWORD}%21"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def secure(certificates: Certificates) -> Iterator[ScriptedProvider]:
    with ScriptedProvider(certificates.server) as provider:
        yield provider


def config_at(url: str, **more: Any) -> dict[str, Any]:
    config = config_for(url)
    config["models"]["providers"]["test"].update(more)
    return config


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy"])
def test_https_goes_through_a_tunnel_of_the_proxy(
    start_gateway: StartGateway, secure: ScriptedProvider, certificates: Certificates, variable: str
) -> None:
    with HttpProxy(secure.port) as proxy:
        environment = {variable: f"http://{USER}@{proxy.address}"}
        config = config_at(f"https://{NAME}/v1", tls={"caFile": str(certificates.authority)})
        gateway = start_gateway(config, **environment)
        assert [gateway.ask("hi").text, gateway.ask("again").text] == ["echo: hi", "echo: again"]
        assert proxy.requests == [f"CONNECT {NAME}:443 HTTP/1.1"]  # one tunnel for both
        assert proxy.credentials == [f"us@er:{PASSWORD}!"]
    assert secure.paths == ["/v1/chat/completions"] * 2
    assert secure.headers[0]["host"] == NAME
    assert "proxy-authorization" not in secure.headers[0]
    shown = gateway.command("config", "show").stdout
    assert proxy.address in shown
    assert PASSWORD not in shown + gateway.log


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy"])
def test_http_is_asked_for_by_its_whole_url(
    start_gateway: StartGateway, provider: ScriptedProvider, variable: str
) -> None:
    with HttpProxy(provider.port) as proxy:
        environment = {variable: f"{USER}@{proxy.address}"}
        gateway = start_gateway(config_at(f"http://{NAME}:8080/v1"), **environment)
        assert gateway.ask("hi").text == "echo: hi"
        assert proxy.requests == [f"POST http://{NAME}:8080/v1/chat/completions HTTP/1.1"]
        assert proxy.credentials == [f"us@er:{PASSWORD}!"]
    assert provider.headers[0]["host"] == f"{NAME}:8080"


def test_this_machine_is_reached_directly_and_the_file_takes_precedence(
    start_gateway: StartGateway, provider: ScriptedProvider
) -> None:
    with HttpProxy(provider.port) as proxy, HttpProxy(provider.port) as named:
        environment = {"HTTP_PROXY": f"http://{proxy.address}", "NO_PROXY": NAME}
        assert start_gateway(config_at(provider.url), **environment).ask("hi").status == 200
        assert proxy.requests == []
        config = config_at(f"http://{NAME}/v1", proxy=f"http://{named.address}")
        assert start_gateway(config, **environment).ask("hi").status == 200
        assert (proxy.requests, len(named.requests)) == ([], 1)
        config = config_at("http://other.test/v1", proxy="direct")
        assert start_gateway(config, **environment).ask("hi").error["code"] == "upstream_error"
        assert proxy.requests == []


@pytest.mark.parametrize("status", [407, 403, 502])
def test_a_proxy_that_refuses_is_named_without_its_password(
    start_gateway: StartGateway, secure: ScriptedProvider, status: int
) -> None:
    with HttpProxy(secure.port, refuse=status) as proxy:
        gateway = start_gateway(config_at(f"https://{NAME}/v1", proxy=f"http://{USER}@{proxy.address}"))
        answer = gateway.ask("hi")
    assert (answer.status, answer.error["code"]) == (502, "upstream_error")
    assert f"The proxy at {proxy.address}" in answer.error["message"]
    assert str(status) in answer.error["message"]
    assert PASSWORD not in answer.error["message"] + gateway.log


def test_a_stream_through_a_tunnel_ends_with_its_client(
    start_gateway: StartGateway, secure: ScriptedProvider, certificates: Certificates
) -> None:
    secure.always([text("one"), ("hang", None)])
    with HttpProxy(secure.port) as proxy:
        gateway = start_gateway(
            config_at(f"https://{NAME}/v1", proxy=f"http://{proxy.address}"),
            NODE_EXTRA_CA_CERTS=str(certificates.authority),
        )
        with gateway.stream("hi") as answer:
            read_until(answer, b"one")
        secure.wait_for_leaving()


@pytest.mark.parametrize("how", ["SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "caFile"])
def test_a_private_certificate_authority_is_trusted_where_it_is_named(
    start_gateway: StartGateway, secure: ScriptedProvider, certificates: Certificates, how: str
) -> None:
    authority = str(certificates.authority)
    more: dict[str, Any] = {"tls": {"caFile": authority}} if how == "caFile" else {}
    environment = {} if how == "caFile" else {how: authority}
    gateway = start_gateway(config_at(secure.url, **more), **environment)
    assert gateway.ask("hi").text == "echo: hi"


def test_another_authority_is_not_trusted_and_the_error_says_what_to_do(
    start_gateway: StartGateway, secure: ScriptedProvider
) -> None:
    answer = start_gateway(config_at(secure.url)).ask("hi")
    assert (answer.status, answer.error["code"]) == (502, "upstream_error")
    assert "certificate verify failed" in answer.error["message"]
    assert "tls.caFile" in answer.error["message"]
    assert secure.requests == []


def test_a_file_without_certificates_is_refused_in_the_configuration_and_noted_in_the_environment(
    start_gateway: StartGateway, provider: ScriptedProvider, tmp_path: Path
) -> None:
    missing = str(tmp_path / "missing.pem")
    gateway = start_gateway(config_at(provider.url), NODE_EXTRA_CA_CERTS=missing)
    assert gateway.ask("hi").status == 200
    assert "NODE_EXTRA_CA_CERTS is not used: the file cannot be read" in gateway.log
    gateway.write_config(config_at(provider.url, tls={"caFile": missing}))
    checked = gateway.command("config", "check")
    assert checked.returncode != 0
    assert "models.providers.test.tls.caFile: cannot be read" in checked.stdout + checked.stderr


@pytest.mark.parametrize(
    "given", [{"apiKey": "azure-key"}, {"headers": {"api-key": "azure-key"}, "apiKey": ""}]
)
@pytest.mark.parametrize("ending", ["", "/", "/chat/completions"])
def test_an_address_of_azure_keeps_its_query_and_has_its_key_in_the_header_of_azure(
    start_gateway: StartGateway,
    provider: ScriptedProvider,
    given: dict[str, Any],
    ending: str,
) -> None:
    base = provider.url.removesuffix("/v1") + "/openai/deployments/gpt" + ending + "?api-version=2024-10-21"
    gateway = start_gateway(config_at(base, **given))
    assert gateway.ask("hi").text == "echo: hi"
    assert provider.paths == ["/openai/deployments/gpt/chat/completions?api-version=2024-10-21"]
    assert provider.headers[0]["api-key"] == "azure-key"
    assert "authorization" not in provider.headers[0]


def test_a_base_url_that_ends_with_the_whole_path_is_understood(
    start_gateway: StartGateway, provider: ScriptedProvider
) -> None:
    gateway = start_gateway(config_at(provider.url + "/chat/completions/"))
    assert gateway.ask("hi").text == "echo: hi"
    assert provider.paths == ["/v1/chat/completions"]
