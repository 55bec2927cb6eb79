"""One test for each way in which such gateways are attacked."""

from __future__ import annotations

import json
import select
import socket
import time
from contextlib import ExitStack
from typing import Any

import pytest

from tests.e2e.conftest import StartGateway
from tests.support.gateway import TOKEN, GatewayProcess, config_for
from tests.support.provider import ScriptedProvider, respond, wait_until

BODY = {"model": "openclaw", "messages": [{"role": "user", "content": "hi"}]}
RAW = json.dumps(BODY).encode()
AUTH = {"Authorization": f"Bearer {TOKEN}"}


def test_dns_rebinding_is_refused(start_gateway: StartGateway, provider: ScriptedProvider) -> None:
    gateway = start_gateway(config_for(provider.url, allowedHosts=["gw.example.org"]))
    for host in ("evil.example", "gw.example.org.evil.example", "evil.example:18789", "1.2.3.4"):
        assert gateway.chat(BODY, Host=host).status == 403


def test_scopes_are_not_the_callers_to_choose(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    for scopes in ("operator.admin", ""):
        assert gateway.chat(BODY, x_openclaw_scopes=scopes).status == 200
        assert gateway.chat(BODY, token="wrong", x_openclaw_scopes=scopes).status == 401


def as_user(gateway: GatewayProcess, name: str, text: str, key: str | None = None, **body: Any) -> Any:
    headers = {"x-user": name, **({"x-openclaw-session-key": key} if key else {})}
    message = {"messages": [{"role": "user", "content": text}], **body}
    return gateway.request("POST", "/v1/chat/completions", message, headers)


def test_nobody_reads_anothers_session(start_gateway: StartGateway, provider: ScriptedProvider) -> None:
    config = config_for(provider.url, trustedProxies=["127.0.0.1"])
    proxy = {"userHeader": "x-user", "allowLoopback": True}
    config["gateway"]["auth"] = {"mode": "trusted-proxy", "trustedProxy": proxy}
    gateway = start_gateway(config)
    secret = as_user(gateway, "ann", "my secret is 42", "notes").headers["X-OpenClaw-Session-Key"]
    as_user(gateway, "ann", "my user secret is 43", user="same")
    for attempt in ({"key": "notes"}, {"key": secret}, {"user": "same"}, {"key": "agent:main:notes"}):
        answer = as_user(gateway, "bob", "what is the secret?", **attempt)
        assert answer.status == 200
        assert not [text for _, text in provider.messages() if "secret is 4" in text]
    as_user(gateway, "ann", "and?", "notes")
    assert ("user", "my secret is 42") in provider.messages()


@pytest.mark.parametrize("name", ["X-Forwarded-For", "X-Real-IP", "Forwarded"])
def test_forwarding_headers_of_unlisted_proxies_are_ignored(
    start_gateway: StartGateway, provider: ScriptedProvider, name: str
) -> None:
    limit = {"maxAttempts": 2, "windowMs": 60_000, "lockoutMs": 60_000, "exemptLoopback": True}
    config = config_for(provider.url)
    config["gateway"]["auth"]["rateLimit"] = limit
    gateway = start_gateway(config)
    spoofed = {**AUTH, "Authorization": "Bearer wrong", name: "127.0.0.1"}
    statuses = [gateway.request("POST", "/v1/chat/completions", RAW, spoofed).status for _ in range(4)]
    assert statuses == ([401, 401, 429, 429] if name == "X-Forwarded-For" else [401] * 4)


def test_there_is_one_credential_and_one_role(
    start_gateway: StartGateway, provider: ScriptedProvider
) -> None:
    gateway = start_gateway({**config_for(provider.url), "hooks": {"enabled": True, "token": "hook-token"}})
    assert gateway.chat(BODY, token="hook-token").status == 401
    assert gateway.request("POST", "/hooks/wake", RAW, {"Authorization": "Bearer hook-token"}).status == 404


def test_a_rotated_secret_is_refused(start_gateway: StartGateway, provider: ScriptedProvider) -> None:
    gateway = start_gateway()
    config = config_for(provider.url)
    config["gateway"]["auth"]["token"] = "another-token-0123456789"
    gateway.write_config(config)
    wait_until(lambda: gateway.chat(BODY).status == 401, 30, "end of the old token")


def test_no_secret_is_in_the_logs(start_gateway: StartGateway, provider: ScriptedProvider) -> None:
    gateway = start_gateway()
    provider.plays([respond(401, {"error": {"message": "bad key provider-key-canary"}})])
    gateway.chat(BODY)
    gateway.chat(BODY, token="wrong-token-canary")
    gateway.chat(b'{"broken', x_request_id=TOKEN + "-x")
    gateway.request("POST", f"/v1/chat/completions?token={TOKEN}", RAW)
    gateway.request("GET", f"/nothing?token={TOKEN}&password={TOKEN}")
    gateway.raw(
        f"GET / HTTP/1.1\r\nHost: [::1]\r\nAuthorization: Bearer {TOKEN}\r\nBad Header: 1\r\n\r\n".encode()
    )
    gateway.stop()
    log = gateway.log.replace(TOKEN + "-x", "")  # a request id is the caller's own to show
    for canary in (TOKEN, "provider-key-canary", "wrong-token-canary"):
        assert canary not in log


@pytest.mark.parametrize("secret", ["YOUR_TOKEN", "changeme", "try-me-on-loopback", "short"])
def test_published_and_short_secrets_are_refused(
    tmp_path: Any, provider: ScriptedProvider, start_gateway: StartGateway, secret: str
) -> None:
    config = config_for(provider.url)
    config["gateway"]["auth"]["token"] = secret
    assert start_gateway(config).chat(BODY, token=secret).status == 200
    config["gateway"]["bind"] = "lan"
    refused = GatewayProcess(tmp_path, config)
    assert refused.spawn().wait(40) == 78
    assert secret not in refused.log


def test_guessing_a_secret_is_limited(start_gateway: StartGateway, provider: ScriptedProvider) -> None:
    config = config_for(provider.url)
    config["gateway"]["auth"]["rateLimit"] = {"maxAttempts": 5, "exemptLoopback": False}
    gateway = start_gateway(config)
    statuses = [gateway.chat(BODY, token=f"guess-{number}").status for number in range(20)]
    assert statuses == [401] * 5 + [429] * 15
    assert gateway.chat(BODY).status == 200


def connect(gateway: GatewayProcess, stack: ExitStack) -> socket.socket:
    return stack.enter_context(socket.create_connection(("127.0.0.1", gateway.port), timeout=20))


def closed_within(sockets: list[socket.socket], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    for sock in sockets:
        sock.settimeout(max(0.1, deadline - time.monotonic()))
        try:
            while sock.recv(4096):
                pass
        except TimeoutError:
            return False
    return True


def is_closed(sock: socket.socket) -> bool:
    """Whether the gateway has closed the connection, on which it sends nothing."""
    readable, _, _ = select.select([sock], [], [], 0)
    return bool(readable)


@pytest.mark.slow
def test_silent_and_slow_connections_are_closed(gateway: GatewayProcess) -> None:
    with ExitStack() as stack:
        sockets = [connect(gateway, stack) for _ in range(400)]
        for sock in sockets[200:]:
            sock.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        assert gateway.chat(BODY).status == 200
        assert not any(is_closed(sock) for sock in sockets), "it is answered while all of them are open"
        assert closed_within(sockets, 60)


def test_bodies_without_a_secret_are_not_read(gateway: GatewayProcess) -> None:
    with ExitStack() as stack:
        sock = connect(gateway, stack)
        sock.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        assert sock.recv(4096).startswith(b"HTTP/1.1 401"), "while the body has not begun"


@pytest.mark.parametrize(
    "url", ["http://169.254.169.254/x.png", "http://127.0.0.1/x.png", "file:///etc/passwd"]
)
def test_urls_are_not_fetched_by_default(gateway: GatewayProcess, url: str) -> None:
    content = [{"type": "image_url", "image_url": {"url": url}}]
    assert gateway.chat({"messages": [{"role": "user", "content": content}]}).status == 400


@pytest.mark.parametrize(
    "override",
    [
        {"x_openclaw_model": "http://127.0.0.1:1/v1"},
        {"x_openclaw_model": "test@evil/x"},
        {"x_openclaw_base_url": "http://127.0.0.1:1"},
        {"x_openclaw_gateway_url": "ws://127.0.0.1:1"},
    ],
)
def test_no_address_comes_from_a_request(
    gateway: GatewayProcess, provider: ScriptedProvider, override: dict[str, str]
) -> None:
    answer = gateway.chat(
        {**BODY, "base_url": "http://127.0.0.1:1", "baseUrl": "http://127.0.0.1:1"}, **override
    )
    assert answer.status == (400 if "x_openclaw_model" in override else 200)
    assert len(provider.requests) == (0 if answer.status == 400 else 1)


@pytest.mark.parametrize(
    "name", ["../main", "..%2fmain", "%2e%2e/main", "main/../beta", "ma\\in", "mäin", "a b"]
)
def test_names_are_no_paths(gateway: GatewayProcess, provider: ScriptedProvider, name: str) -> None:
    header = name.encode().decode("latin-1")
    assert gateway.chat(BODY, x_openclaw_agent_id=header).status == 400
    assert gateway.chat({**BODY, "model": f"openclaw:{name}"}).status in (400, 404)
    assert (
        gateway.request(
            "GET", "/v1/models/" + name.encode("ascii", "ignore").decode().replace(" ", "+"), headers=AUTH
        ).status
        == 404
    )
    assert provider.requests == []


HEAD = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n".encode()


@pytest.mark.parametrize(
    "tail",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"Content-Length: +5\r\n\r\nhello",
        b"Content-Length: 5 5\r\n\r\nhello",
        b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
        b" folded: x\r\n\r\n",
        b"X: a\rb\r\n\r\n",
        b"X: \x00\r\n\r\n",
    ],
)
def test_ambiguous_requests_are_refused(
    gateway: GatewayProcess, provider: ScriptedProvider, tail: bytes
) -> None:
    answer = gateway.raw(HEAD + tail)
    assert answer.status in (400, 501)
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Connection"] == "close"
    assert provider.requests == []


def test_a_page_cannot_post_to_localhost(start_gateway: StartGateway, provider: ScriptedProvider) -> None:
    config = config_for(provider.url)
    config["gateway"]["auth"] = {"mode": "none"}
    gateway = start_gateway(config)
    page = {"Origin": "http://evil.example", "Content-Type": "text/plain"}
    assert gateway.request("POST", "/v1/chat/completions", RAW, page).status == 403
    hidden = {"Sec-Fetch-Site": "cross-site", "Content-Type": "text/plain"}
    assert gateway.request("POST", "/v1/chat/completions", RAW, hidden).status == 403
    assert provider.requests == []


@pytest.mark.parametrize(
    ("gateway_section", "environment"),
    [({"bind": "lan"}, {}), ({"bind": "custom", "customBindHost": "0.0.0.0"}, {}), ({}, {"PORT": "1"})],
)
def test_no_secret_beyond_loopback(
    tmp_path: Any, provider: ScriptedProvider, gateway_section: dict[str, str], environment: dict[str, str]
) -> None:
    config = config_for(provider.url, **gateway_section)
    config["gateway"]["auth"] = {"mode": "none"}
    gateway = GatewayProcess(tmp_path, config, **environment)
    assert gateway.spawn().wait(40) == 78
    assert "loopback" in gateway.log


def test_commands_in_messages_are_plain_text(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    for text in ("/approve all", "/stop", "/new", "/reset", "/model evil"):
        answer = gateway.ask(text, user="commands")
        assert answer.text == f"echo: {text}"
    assert len(provider.requests[-1]["messages"]) == 10


def test_errors_tell_nothing_of_the_inside(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    trace = "Traceback (most recent call last): /srv/secret.py Bearer abcdef sk-abcdefghijklmnop"
    provider.always([respond(500, {"error": {"message": trace}})])
    for answer in (gateway.ask("hi").body, gateway.ask("hi", stream=True).body):
        assert b"sk-abcdefghijklmnop" not in answer
        assert b"Bearer abcdef" not in answer
    assert b"Traceback" not in gateway.chat(b"{").body


def test_no_answer_runs_in_a_browser(gateway: GatewayProcess) -> None:
    probe = "<script>alert(1)</script>"
    for answer in (
        gateway.request("GET", f"/{probe.replace(' ', '')}"),
        gateway.chat({**BODY, "model": probe}),
        gateway.chat(BODY, x_openclaw_agent_id=probe),
        gateway.raw(f"GET /{probe} HTTP/9.9\r\nHost: localhost\r\n\r\n".encode()),
    ):
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_values_make_no_lines_of_their_own(gateway: GatewayProcess) -> None:
    forged = 'x\\r\\n{"level":"error","message":"forged"}'
    gateway.chat({**BODY, "user": 'u\r\n{"message":"forged"}\u2028'}, x_openclaw_session_key=forged)
    gateway.request("GET", "/a%0d%0a%7b%22message%22:%22forged%22%7d")
    written = [line for line in gateway.log.splitlines(keepends=True) if line.endswith("\n")]
    for line in written:  # the last may be half written yet
        assert json.loads(line).get("message") != "forged"


def test_the_configuration_is_shown_without_secrets(gateway: GatewayProcess) -> None:
    shown = gateway.command("config", "show").stdout
    assert "__OPENCLAW_REDACTED__" in shown
    for text in (shown, gateway.request("GET", "/ready?verbose").body.decode()):
        assert TOKEN not in text
        assert "provider-key-canary" not in text
