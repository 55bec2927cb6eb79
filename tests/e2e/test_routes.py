"""Routes, their errors and headers."""

from __future__ import annotations

import json

import pytest

from tests.e2e.conftest import StartGateway
from tests.support.gateway import TOKEN, GatewayProcess, config_for
from tests.support.provider import ScriptedProvider, says, wait_until

AUTH = {"Authorization": f"Bearer {TOKEN}"}
HI = {"model": "openclaw", "messages": [{"role": "user", "content": "hi"}]}


@pytest.mark.parametrize("path", ["/health", "/healthz"])
def test_health(gateway: GatewayProcess, path: str) -> None:
    answer = gateway.request("GET", path)
    assert (answer.status, answer.json) == (200, {"ok": True, "status": "live"})
    assert gateway.request("HEAD", path).status == 200
    refused = gateway.request("POST", path)
    assert (refused.status, refused.headers["Allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("path", ["/ready", "/readyz"])
def test_ready(gateway: GatewayProcess, path: str) -> None:
    answer = gateway.request("GET", path)
    assert answer.status == 200
    assert answer.json["ready"] is True
    assert answer.json["failing"] == []
    assert answer.json["uptimeMs"] >= 0
    assert gateway.request("GET", f"{path}?verbose").json["config"] == "current"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/chat/completions", 405, "method_not_allowed"),
        ("PUT", "/v1/chat/completions", 405, "method_not_allowed"),
        ("DELETE", "/v1/chat/completions", 405, "method_not_allowed"),
        ("OPTIONS", "/v1/chat/completions", 405, "method_not_allowed"),
        ("POST", "/v1/models", 405, "method_not_allowed"),
        ("OPTIONS", "/v1/models", 405, "method_not_allowed"),
        ("POST", "/v1/chat/completions/", 404, "not_found"),
        ("POST", "/v1//chat/completions", 404, "not_found"),
        ("POST", "//v1/chat/completions", 404, "not_found"),
        ("POST", "/v1/Chat/Completions", 404, "not_found"),
        ("POST", "/V1/chat/completions", 404, "not_found"),
        ("GET", "/v1/models/", 404, "not_found"),
        ("GET", "/v1", 404, "not_found"),
        ("GET", "/v1/nothing", 404, "not_found"),
        ("GET", "/tools/nothing", 404, "not_found"),
        ("GET", "/hooks/nothing", 404, "not_found"),
        ("GET", "/nothing", 404, "not_found"),
        ("POST", "/v1/responses", 404, "endpoint_disabled"),
    ],
)
def test_wrong_addresses_and_methods_need_no_secret(
    gateway: GatewayProcess, method: str, path: str, status: int, code: str
) -> None:
    answer = gateway.request(method, path)
    assert answer.status == status
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.error["code"] == code
    assert set(answer.error) == {"message", "type", "param", "code"}
    if status == 405:
        assert answer.headers["Allow"]


def test_a_query_is_ignored_and_is_no_credential(gateway: GatewayProcess) -> None:
    body = json.dumps(HI).encode()
    assert gateway.request("POST", "/v1/chat/completions?x=1", body, AUTH).status == 200
    assert gateway.request("POST", f"/v1/chat/completions?token={TOKEN}", body).status == 401


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/v1/chat/completions"), ("GET", "/v1/models"), ("GET", "/v1/models/openclaw")],
)
@pytest.mark.parametrize("switch", [{}, {"enabled": False}])
def test_a_switched_off_endpoint_names_its_switch(
    start_gateway: StartGateway, provider: ScriptedProvider, method: str, path: str, switch: dict[str, bool]
) -> None:
    if (method, switch) != ("POST", {}) and path != "/v1/models":
        return  # one gateway a combination is enough of them
    gateway = start_gateway(config_for(provider.url, http={"endpoints": {"chatCompletions": switch}}))
    answer = gateway.request(method, path, headers=AUTH)
    assert (answer.status, answer.error["code"]) == (404, "endpoint_disabled")
    assert "gateway.http.endpoints.chatCompletions.enabled" in answer.error["message"]


def test_a_switched_off_endpoint_is_off_for_every_method(
    start_gateway: StartGateway, provider: ScriptedProvider
) -> None:
    gateway = start_gateway(config_for(provider.url, http={"endpoints": {}}))
    for path in ("/v1/chat/completions", "/v1/models", "/v1/models/openclaw/main"):
        for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS"):
            answer = gateway.request(method, path)
            assert (answer.status, answer.error["code"]) == (404, "endpoint_disabled"), (method, path)
    upgrade = {**AUTH, "Upgrade": "h2c", "Connection": "Upgrade"}
    answer = gateway.request("POST", "/v1/chat/completions", json.dumps(HI).encode(), upgrade)
    assert answer.error["code"] == "endpoint_disabled"
    assert gateway.request("POST", "/v1/chat/completions/").error["code"] == "not_found"
    assert gateway.request("POST", "/metrics").status == 405


def test_every_answer_carries_the_headers(gateway: GatewayProcess) -> None:
    for answer in (
        gateway.chat(HI),
        gateway.chat({**HI, "stream": True}),
        gateway.request("GET", "/health"),
        gateway.request("GET", "/nothing"),
        gateway.chat(b"{", x_request_id="mine-1"),
        gateway.request("POST", "/v1/chat/completions"),
    ):
        assert answer.headers["X-Request-Id"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        if answer.headers["Content-Type"] == "application/json":
            assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("given", "kept"),
    [("abc-123", True), ("a" * 128, True), ("a" * 129, False), ("has space", False), ("naïve", False)],
)
def test_the_request_id(gateway: GatewayProcess, provider: ScriptedProvider, given: str, kept: bool) -> None:
    answer = gateway.chat(HI, x_request_id=given)
    used = answer.headers["X-Request-Id"]
    assert (used == given) is kept
    assert provider.headers[-1]["x-request-id"] == used
    assert f'"request_id":"{used}"' in gateway.log


def test_models(gateway: GatewayProcess) -> None:
    listing = gateway.request("GET", "/v1/models", headers=AUTH).json
    assert listing["object"] == "list"
    assert [one["id"] for one in listing["data"]] == [
        "openclaw",
        "openclaw/default",
        "openclaw/main",
        "openclaw/beta",
    ]
    for one in listing["data"]:
        assert (one["object"], one["owned_by"]) == ("model", "openclaw")
        assert one["created"] > 0
    assert gateway.request("GET", "/v1/models").status == 401


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("openclaw", 200),
        ("openclaw/default", 200),
        ("openclaw/beta", 200),
        ("openclaw%2Fbeta", 200),
        ("openclaw%2fbeta", 200),
        ("openclaw:beta", 200),
        ("clawdbot/beta", 200),
        ("gpt-4o", 404),
        ("openclaw/ghost", 404),
        ("openclaw/", 404),
        ("beta", 404),
        ("a/b/c", 404),
    ],
)
def test_one_model(gateway: GatewayProcess, name: str, status: int) -> None:
    answer = gateway.request("GET", f"/v1/models/{name}", headers=AUTH)
    assert answer.status == status
    if status == 404:
        assert answer.error["code"] in ("model_not_found", "not_found")
    else:
        assert answer.json["object"] == "model"


def test_metrics_need_the_secret_and_count(gateway: GatewayProcess) -> None:
    gateway.chat(HI)
    wait_until(lambda: gateway.metric("openclaw_active_streams") == 0, 30, "end of the streams of others")
    assert gateway.request("GET", "/metrics").status == 401
    answer = gateway.request("GET", "/metrics", headers=AUTH)
    assert answer.headers["Content-Type"].startswith("text/plain")
    text = answer.body.decode()
    for name in (
        'openclaw_http_requests_total{route="/v1/chat/completions",status="200"}',
        'openclaw_runs_total{agent="main",outcome="finished",source="http"}',
        "openclaw_time_to_first_token_seconds_count",
        "openclaw_run_duration_seconds_count",
        "openclaw_queue_wait_seconds_count",
        'openclaw_tokens_total{kind="prompt"}',
        "openclaw_active_runs",
        "openclaw_active_streams 0.0",
        "openclaw_hub_lag_seconds",
        "openclaw_resident_memory_bytes",
    ):
        assert name in text


def test_the_tokens_of_an_answer_are_counted(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    def counted() -> list[float]:
        return [
            gateway.metric(f'openclaw_tokens_total{{kind="{kind}"}}') for kind in ("prompt", "completion")
        ]

    gateway.chat(HI)
    prompt, completion = counted()
    provider.plays(says("Hello", prompt=31, completion=17))
    gateway.chat(HI)
    assert counted() == [prompt + 31, completion + 17]


def test_public_metrics(start_gateway: StartGateway, provider: ScriptedProvider) -> None:
    gateway = start_gateway(config_for(provider.url, metrics={"public": True}))
    assert gateway.request("GET", "/metrics").status == 200


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"NONSENSE\r\n\r\n", 400),
        (b"GET /health HTTP/1.1\r\nHost: a\r\nBad Header: x\r\n\r\n", 400),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (b"GET /health HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 9000 + b"\r\n\r\n", 431),
        (
            (
                b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
            ),
            400,
        ),
        (b"GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    ],
)
def test_errors_of_the_server_itself_are_json_too(gateway: GatewayProcess, raw: bytes, status: int) -> None:
    answer = gateway.raw(raw)
    assert answer.status == status
    assert answer.headers["Content-Type"] == "application/json"
    assert set(answer.error) == {"message", "type", "param", "code"}
