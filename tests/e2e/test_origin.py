"""Pages of other sites, and requests that a proxy forwarded: refused over both transports alike."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.conftest import StartGateway
from tests.support.gateway import Answer, GatewayProcess, config_for
from tests.support.provider import ScriptedProvider
from tests.support.proxy_users import USER_HEADER, connected, proxy_config

UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}
BODY = json.dumps({"messages": [{"role": "user", "content": "hi"}]}).encode()
Send = Callable[[GatewayProcess, dict[str, str]], Answer]


def post(gateway: GatewayProcess, headers: dict[str, str]) -> Answer:
    """What any page may send without asking first: a POST whose body is plain text."""
    given = {USER_HEADER: "ann", "Content-Type": "text/plain", **headers}
    return gateway.request("POST", "/v1/chat/completions", BODY, given)


def upgrade(gateway: GatewayProcess, headers: dict[str, str]) -> Answer:
    return gateway.request("GET", "/", headers={USER_HEADER: "ann", **UPGRADE, **headers})


def upgrade_of_health(gateway: GatewayProcess, headers: dict[str, str]) -> Answer:
    return gateway.request("GET", "/health", headers={USER_HEADER: "ann", **UPGRADE, **headers})


BOTH = pytest.mark.parametrize("send", [post, upgrade, upgrade_of_health])


@BOTH
def test_a_page_of_another_site_starts_nothing_in_its_readers_name(
    start_gateway: StartGateway, provider: ScriptedProvider, send: Send
) -> None:
    gateway = start_gateway(proxy_config(provider.url))
    for foreign in (
        {"Host": "chat.example.org", "Origin": "https://evil.example"},
        {"Host": "chat.example.org", "Origin": "null"},
        {"Host": "chat.example.org", "Sec-Fetch-Site": "cross-site"},
        {"Host": "chat.example.org", "Origin": "https://evil.example", "Sec-Fetch-Site": "same-site"},
    ):
        answer = send(gateway, foreign)
        assert (answer.status, answer.error["code"]) == (403, "origin_not_allowed"), foreign
    assert provider.requests == []
    own = {"Host": "chat.example.org", "Origin": "https://chat.example.org"}
    assert post(gateway, {**own, "Sec-Fetch-Site": "same-origin"}).status == 200
    assert post(gateway, {"X-Forwarded-Host": "chat.example.org", "Origin": own["Origin"]}).status == 200
    page = {"Origin": f"http://127.0.0.1:{gateway.port}", "Sec-Fetch-Site": "same-origin"}
    with connected(gateway, "ann", headers=page) as client:
        assert client.call("health")["ok"]
    assert gateway.request("GET", "/health", headers={"Sec-Fetch-Site": "cross-site"}).status == 200


@BOTH
def test_a_gateway_without_a_secret_serves_nobody_elses_pages_and_no_proxy(
    start_gateway: StartGateway, provider: ScriptedProvider, send: Send
) -> None:
    config: dict[str, Any] = config_for(provider.url)
    config["gateway"]["auth"] = {"mode": "none"}
    gateway = start_gateway(config)
    for headers, code in (
        ({"X-Forwarded-For": "10.1.2.3"}, None),
        ({"Forwarded": "for=10.1.2.3"}, None),
        ({"X-Forwarded-Host": "127.0.0.1"}, None),
        ({"Via": "1.1 proxy"}, None),
        ({"True-Client-IP": "10.1.2.3"}, None),
        ({"Tailscale-User-Login": "ann"}, None),
        ({"Host": "127.0.0.1:1@evil.example"}, "host_not_allowed"),
        ({"Host": "[::1].evil.example"}, "host_not_allowed"),
        ({"Origin": "https://evil.example"}, "origin_not_allowed"),
        ({"Origin": f"https://127.0.0.1:{gateway.port}"}, "origin_not_allowed"),
        ({"Sec-Fetch-Site": "cross-site"}, "origin_not_allowed"),
        ({"Host": "evil.example"}, "host_not_allowed"),
    ):
        answer = send(gateway, headers)
        assert (answer.status, answer.error["code"]) == (403, code), headers
    assert provider.requests == []
    assert post(gateway, {"Origin": f"http://127.0.0.1:{gateway.port}"}).status == 200


@pytest.mark.parametrize("value", ["h2c", "TLS/1.0", "websocketx", "h2c, websocket", "websocket, h2c", "foo"])
@pytest.mark.parametrize("connection", ["Upgrade", "Upgrade, HTTP2-Settings", "close"])
def test_any_other_upgrade_is_ignored(
    switched_off: GatewayProcess, provider: ScriptedProvider, value: str, connection: str
) -> None:
    """Such a request is an ordinary one: what is switched off stays so, and no check is left out."""
    headers = {"Upgrade": value, "Connection": connection, USER_HEADER: "ann", "HTTP2-Settings": "AAMAAABk"}
    for method, path in (("POST", "/v1/chat/completions"), ("GET", "/v1/models"), ("GET", "/v1/models/x")):
        answer = switched_off.request(method, path, BODY if method == "POST" else None, headers)
        assert (answer.status, answer.error["code"]) == (404, "endpoint_disabled")
    assert switched_off.request("GET", "/metrics", headers={**headers, USER_HEADER: ""}).status == 401
    assert switched_off.request("GET", "/", headers=headers).status == 404
    assert switched_off.request("GET", "/health", headers=headers).status == 200
    assert provider.requests == []


@pytest.fixture
def switched_off(_switched_off: GatewayProcess, provider: ScriptedProvider) -> GatewayProcess:
    return _switched_off


@pytest.fixture(scope="module")
def _switched_off(_shared_provider: ScriptedProvider, tmp_path_factory: pytest.TempPathFactory) -> Any:
    config = proxy_config(_shared_provider.url)
    config["gateway"]["http"]["endpoints"]["chatCompletions"]["enabled"] = False
    gateway = GatewayProcess(tmp_path_factory.mktemp("switched-off"), config)
    yield gateway.start()
    gateway.stop()
