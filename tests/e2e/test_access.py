"""Authentication, Host, Origin and CORS."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.e2e.conftest import StartGateway
from tests.support.gateway import TOKEN, GatewayProcess, config_for
from tests.support.provider import ScriptedProvider, wait_until

BODY = {"model": "openclaw", "messages": [{"role": "user", "content": "hi"}]}


def status(gateway: GatewayProcess, authorization: str | None, **headers: str) -> int:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    if authorization is not None:
        given["Authorization"] = authorization
    return gateway.request("POST", "/v1/chat/completions", BODY, given).status


@pytest.mark.parametrize(
    ("authorization", "expected"),
    [
        (f"Bearer {TOKEN}", 200),
        (f"bearer {TOKEN}", 200),
        (f"BEARER   {TOKEN}  ", 200),
        (f"Bearer\t{TOKEN}", 200),
        (None, 401),
        ("", 401),
        ("Bearer", 401),
        ("Bearer ", 401),
        (TOKEN, 401),
        ("Basic dXNlcjpwYXNz", 401),
        (f"Token {TOKEN}", 401),
        (f"Bearer {TOKEN}x", 401),
        (f"Bearer {TOKEN[:-1]}", 401),
        (f"Bearer {TOKEN.upper()}", 401),
        (f"Bearer {TOKEN} {TOKEN}", 401),
    ],
)
def test_the_bearer_token(gateway: GatewayProcess, authorization: str | None, expected: int) -> None:
    assert status(gateway, authorization) == expected


def test_the_answer_to_a_missing_secret(gateway: GatewayProcess) -> None:
    answer = gateway.request("POST", "/v1/chat/completions", BODY)
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.error == {"message": "Unauthorized", "type": "unauthorized", "param": None, "code": None}


@pytest.mark.parametrize("headers", [{"X_Api_Key": TOKEN}, {"Cookie": f"token={TOKEN}"}, {"Api_Key": TOKEN}])
def test_credentials_in_other_places_are_ignored(gateway: GatewayProcess, headers: dict[str, str]) -> None:
    assert status(gateway, None, **headers) == 401


def with_auth(provider: ScriptedProvider, auth: dict[str, Any], **gateway: Any) -> dict[str, Any]:
    config = config_for(provider.url, **gateway)
    config["gateway"]["auth"] = auth
    return config


@pytest.mark.parametrize("secret", ["pässwörd-Ünïcödé", "ключ-для-шлюза-ключ", "密码密码密码密码"])
def test_secrets_beyond_ascii(start_gateway: StartGateway, provider: ScriptedProvider, secret: str) -> None:
    gateway = start_gateway(with_auth(provider, {"mode": "password", "password": secret}))
    assert status(gateway, "Bearer " + secret.encode().decode("latin-1")) == 200
    if all(ord(char) < 256 for char in secret):
        assert status(gateway, "Bearer " + secret) == 200
    assert status(gateway, "Bearer " + secret[:-1].encode().decode("latin-1")) == 401


def test_the_secret_from_the_environment_and_its_precedence(
    start_gateway: StartGateway, provider: ScriptedProvider
) -> None:
    gateway = start_gateway(with_auth(provider, {}), CLAWDBOT_GATEWAY_TOKEN="from-the-environment")
    assert status(gateway, "Bearer from-the-environment") == 200
    gateway = start_gateway(
        with_auth(provider, {}), CLAWDBOT_GATEWAY_TOKEN="older", OPENCLAW_GATEWAY_TOKEN="newer"
    )
    assert (status(gateway, "Bearer newer"), status(gateway, "Bearer older")) == (200, 401)
    gateway = start_gateway(config_for(provider.url), OPENCLAW_GATEWAY_TOKEN="from-the-environment")
    assert (status(gateway, f"Bearer {TOKEN}"), status(gateway, "Bearer from-the-environment")) == (200, 401)


def test_an_unset_mode_is_password_when_there_is_one(
    start_gateway: StartGateway, provider: ScriptedProvider
) -> None:
    gateway = start_gateway(with_auth(provider, {"token": "the-token", "password": "the-password"}))
    assert (status(gateway, "Bearer the-password"), status(gateway, "Bearer the-token")) == (200, 401)


def test_a_rotated_secret_counts_at_once(start_gateway: StartGateway, provider: ScriptedProvider) -> None:
    gateway = start_gateway()
    gateway.write_config(with_auth(provider, {"token": "a-new-token-0123456789"}))
    wait_until(lambda: status(gateway, "Bearer a-new-token-0123456789") == 200, 30, "new token")
    assert status(gateway, f"Bearer {TOKEN}") == 401


def test_a_broken_file_keeps_the_last_good_settings(
    start_gateway: StartGateway, provider: ScriptedProvider
) -> None:
    gateway = start_gateway()
    good = gateway.config_path.read_text()
    gateway.config_path.write_text(good[:-20])
    wait_until(
        lambda: gateway.request("GET", "/ready?verbose").json["config"] == "stale",
        30,
        "notice of the mistake",
    )
    assert status(gateway, f"Bearer {TOKEN}") == 200
    assert gateway.request("GET", "/ready").status == 200
    gateway.config_path.write_text(good)
    wait_until(
        lambda: gateway.request("GET", "/ready?verbose").json["config"] == "current", 30, "the corrected file"
    )


def test_rate_limit(start_gateway: StartGateway, provider: ScriptedProvider) -> None:
    limit = {"maxAttempts": 3, "windowMs": 60_000, "lockoutMs": 4000, "exemptLoopback": False}
    gateway = start_gateway(with_auth(provider, {"token": TOKEN, "rateLimit": limit}))
    assert [status(gateway, None) for _ in range(10)] == [401] * 10
    assert [status(gateway, "Bearer wrong") for _ in range(3)] == [401] * 3
    refused = gateway.chat(BODY, token="wrong")
    assert (refused.status, refused.error["code"]) == (429, "auth_rate_limited")
    assert 1 <= int(refused.headers["Retry-After"]) <= 4
    assert status(gateway, None) == 401
    assert status(gateway, f"Bearer {TOKEN}") == 200
    wait_until(lambda: status(gateway, "Bearer wrong") == 401, 30, "end of the lock")


def test_wrong_tokens_are_answered_without_a_pause(gateway: GatewayProcess) -> None:
    """The time of the quickest of several: a pause would slow all of them down."""
    times = []
    for _ in range(10):
        begun = time.monotonic()
        assert status(gateway, "Bearer wrong") == 401
        times.append(time.monotonic() - begun)
    assert min(times) < 0.5


PROXY = {"mode": "trusted-proxy", "trustedProxy": {"userHeader": "x-user", "allowLoopback": True}}


def proxy_config(provider: ScriptedProvider, proxies: list[str], **proxy: Any) -> dict[str, Any]:
    auth = {"mode": "trusted-proxy", "trustedProxy": {**PROXY["trustedProxy"], **proxy}}  # type: ignore[dict-item]
    return with_auth(provider, auth, trustedProxies=proxies)


def test_trusted_proxy(start_gateway: StartGateway, provider: ScriptedProvider) -> None:
    proxy = {"requiredHeaders": ["x-verified"], "allowUsers": ["ann", "bob"]}
    gateway = start_gateway(proxy_config(provider, ["127.0.0.0/8"], **proxy))
    verified = {"x_verified": "yes"}
    assert status(gateway, None, x_user="ann", **verified) == 200
    assert status(gateway, None, x_user="ann") == 401
    assert status(gateway, None, **verified) == 401
    assert status(gateway, f"Bearer {TOKEN}", **verified) == 401
    assert status(gateway, None, x_user="eve", **verified) == 403
    assert status(gateway, None, x_user="ann,eve", **verified) == 401


def test_only_listed_addresses_are_proxies(start_gateway: StartGateway, provider: ScriptedProvider) -> None:
    gateway = start_gateway(proxy_config(provider, ["10.0.0.0/8"]))
    assert status(gateway, None, x_user="ann") == 401
    assert status(gateway, None, x_user="ann", x_forwarded_for="10.0.0.1") == 401


def test_loopback_is_no_proxy_unless_the_configuration_allows_it(
    start_gateway: StartGateway, provider: ScriptedProvider
) -> None:
    gateway = start_gateway(proxy_config(provider, ["127.0.0.1"], allowLoopback=False))
    assert status(gateway, None, x_user="ann") == 401


def test_mode_none(start_gateway: StartGateway, provider: ScriptedProvider) -> None:
    gateway = start_gateway(with_auth(provider, {"mode": "none"}))
    here = f"127.0.0.1:{gateway.port}"
    assert status(gateway, None) == 200
    assert status(gateway, "Bearer whatever") == 200
    assert status(gateway, None, Origin=f"http://{here}") == 200
    for host in (f"localhost:{gateway.port}", "localhost", "[::1]", "127.0.0.9"):
        assert status(gateway, None, Host=host) == 200, host
    for origin in ("http://evil.example", "null", f"https://{here}", "http://127.0.0.1:1"):
        assert status(gateway, None, Origin=origin) == 403, origin
    for header in ("X_Forwarded_For", "Forwarded", "X_Real_Ip", "X_Forwarded_Host"):
        assert status(gateway, None, **{header: "1.2.3.4"}) == 403, header
    assert status(gateway, None, Host="evil.example") == 403
    assert gateway.request("GET", "/health", headers={"Host": "evil.example"}).status == 200


def test_allowed_hosts(start_gateway: StartGateway, provider: ScriptedProvider) -> None:
    gateway = start_gateway(config_for(provider.url, allowedHosts=["gw.example.org"]))
    token = f"Bearer {TOKEN}"
    assert status(gateway, token, Host="gw.example.org") == 200
    assert status(gateway, token, Host="GW.example.org:8443") == 200
    assert status(gateway, token) == 200
    answer = gateway.chat(BODY, Host="evil.example")
    assert (answer.status, answer.error["code"]) == (403, "host_not_allowed")


def test_a_proxy_in_front_works_out_of_the_box(
    start_gateway: StartGateway, provider: ScriptedProvider
) -> None:
    gateway = start_gateway(config_for(provider.url, trustedProxies=["127.0.0.1"]))
    headers = {"Host": "anything.example", "X_Forwarded_For": "1.2.3.4", "X_Forwarded_Proto": "https"}
    assert status(gateway, f"Bearer {TOKEN}", **headers) == 200


PAGE = "https://chat.example.org"


def test_cors_is_off_by_default(gateway: GatewayProcess) -> None:
    preflight = {"Origin": PAGE, "Access-Control-Request-Method": "POST"}
    answer = gateway.request("OPTIONS", "/v1/chat/completions", headers=preflight)
    assert answer.status == 405
    assert answer.headers["Access-Control-Allow-Origin"] is None
    assert gateway.chat(BODY, Origin=PAGE).headers["Access-Control-Allow-Origin"] is None


def test_cors(start_gateway: StartGateway, provider: ScriptedProvider) -> None:
    http = {"endpoints": {"chatCompletions": {"enabled": True}}, "cors": {"origins": [PAGE]}}
    gateway = start_gateway(config_for(provider.url, http=http))
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization, x-a"}
    answer = gateway.request("OPTIONS", "/v1/chat/completions", headers={"Origin": PAGE, **asked})
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["Access-Control-Allow-Origin"] == PAGE
    assert answer.headers["Access-Control-Allow-Headers"] == "authorization, x-a"
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    assert "Origin" in answer.headers["Vary"]
    for allowed in (
        gateway.chat(BODY, Origin=PAGE),
        gateway.chat({**BODY, "stream": True}, Origin=PAGE),
        gateway.chat({}, Origin=PAGE),
        gateway.chat(BODY, token="wrong", Origin=PAGE),
        gateway.request("GET", "/nothing", headers={"Origin": PAGE}),
    ):
        assert allowed.headers["Access-Control-Allow-Origin"] == PAGE
    for origin in ("https://evil.example", "http://chat.example.org", f"{PAGE}:444", "null"):
        answer = gateway.request("OPTIONS", "/v1/chat/completions", headers={"Origin": origin, **asked})
        assert answer.headers["Access-Control-Allow-Origin"] is None
        assert gateway.chat(BODY, Origin=origin).headers["Access-Control-Allow-Origin"] is None


def test_headers_given_twice(gateway: GatewayProcess) -> None:
    body = json.dumps(BODY).encode()
    for name, value in (
        ("Authorization", f"Bearer {TOKEN}"),
        ("x-openclaw-agent-id", "main"),
        ("X-OpenClaw-Session-Key", "a"),
        ("Host", "127.0.0.1"),
    ):
        lines = [f"{name}: {value}\r\n"] * 2
        if name != "Host":
            lines.append("Host: 127.0.0.1\r\n")
        if name != "Authorization":
            lines.append(f"Authorization: Bearer {TOKEN}\r\n")
        head = (
            "POST /v1/chat/completions HTTP/1.1\r\n" + "".join(lines) + f"Content-Length: {len(body)}\r\n\r\n"
        )
        answer = gateway.raw(head.encode() + body)
        assert answer.status == 400, name
        assert answer.error["type"] == "invalid_request_error"
