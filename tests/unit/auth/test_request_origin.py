"""Which requests are refused because of where they come from."""

from __future__ import annotations

from typing import Any

import pytest

from app.auth.authenticate import Caller
from app.auth.origin import FORWARDING, check_request
from app.config.settings import AuthSettings, ControlUiSettings, GatewaySettings
from app.errors import Forbidden, GatewayError, HostNotAllowed, OriginNotAllowed

CHAT, EVIL = "https://chat.example.org", "https://evil.example"

# Each looks like a loopback name to a careless reader.
NO_HOSTS = (
    *("127.0.0.1:1@evil.example", "127.0.0.1@evil.example", "localhost@evil.example", "[::1].evil.example"),
    *("127.0.0.1%00.evil.example", "127.0.0.1/evil.example", "127.0.0.1,evil.example", "localhost evil"),
    *("127.0.0.1.evil.example", "localhost.evil.example", "127.0.0.1:1:2", "[::1]evil", "::1", ""),
)


def refusal(mode: Any, headers: dict[str, str], is_upgrade: bool, **more: Any) -> type[GatewayError] | None:
    gateway = GatewaySettings(auth=AuthSettings(mode=mode), trusted_proxies=("10.0.0.2",), **more)
    try:
        check_request(Caller("10.0.0.2", {"Host": "127.0.0.1", **headers}.get), gateway, is_upgrade)
    except GatewayError as error:
        return type(error)
    return None


@pytest.mark.parametrize("is_upgrade", [False, True])
class TestOverBothTransports:
    @pytest.mark.parametrize(
        ("headers", "error"),
        [
            ({}, None),
            ({"Origin": "http://127.0.0.1"}, None),
            ({"Origin": "http://127.0.0.1:80", "Sec-Fetch-Site": "same-origin"}, None),
            ({"Sec-Fetch-Site": "none"}, None),
            ({"Sec-Fetch-Site": "cross-site"}, OriginNotAllowed),
            ({"Origin": "http://127.0.0.1", "Sec-Fetch-Site": "cross-site"}, OriginNotAllowed),
            ({"Origin": EVIL}, OriginNotAllowed),
            ({"Origin": "null"}, OriginNotAllowed),
            ({"Origin": "https://127.0.0.1"}, OriginNotAllowed),
            ({"Origin": "http://127.0.0.1:1"}, OriginNotAllowed),
            ({"X-Forwarded-For": "10.0.0.1"}, Forbidden),
            ({"Forwarded": "for=10.0.0.1"}, Forbidden),
            *(({name: "x"}, Forbidden) for name in FORWARDING),
            ({"Sec-Fetch-Site": "Cross-Site"}, OriginNotAllowed),
            *(({"Host": host}, None) for host in ("localhost:1", "LOCALHOST", "a.localhost", "[::1]:1")),
            *(({"Host": host}, HostNotAllowed) for host in NO_HOSTS),
            ({"Host": "evil.example"}, HostNotAllowed),
            ({"Host": "evil.example", "Forwarded": "x", "Origin": EVIL}, HostNotAllowed),
            ({"Forwarded": "x", "Origin": EVIL}, Forbidden),
        ],
    )
    def test_a_gateway_without_a_secret(self, headers: dict[str, str], error: Any, is_upgrade: bool):
        assert refusal("none", headers, is_upgrade) is error

    @pytest.mark.parametrize(
        ("headers", "error"),
        [
            ({}, None),
            ({"Host": "chat.example.org", "Origin": CHAT}, None),
            ({"Host": "chat.example.org:443", "Origin": CHAT}, None),
            ({"Host": "chat.example.org", "Origin": CHAT, "Sec-Fetch-Site": "same-origin"}, None),
            ({"X-Forwarded-Host": "chat.example.org", "Origin": CHAT}, None),
            ({"X-Forwarded-Host": "chat.example.org, inner:8080", "Origin": CHAT}, None),
            ({"Host": "chat.example.org", "Origin": f"{CHAT}:8443"}, OriginNotAllowed),
            (
                {"Host": "chat.example.org", "Origin": f"{CHAT}:8443", "Sec-Fetch-Site": "same-origin"},
                None,
            ),
            ({"Host": "chat.example.org", "Origin": EVIL, "Sec-Fetch-Site": "same-origin"}, OriginNotAllowed),
            ({"Host": "chat.example.org", "Origin": EVIL}, OriginNotAllowed),
            (
                {"Host": "a:1", "Origin": "http://a:1.evil.example", "Sec-Fetch-Site": "same-origin"},
                OriginNotAllowed,
            ),
            ({"Host": "chat.example.org", "Origin": "null"}, OriginNotAllowed),
            ({"Host": "chat.example.org", "Origin": "https://sub.chat.example.org"}, OriginNotAllowed),
            (
                {"Host": "chat.example.org", "Origin": f"{CHAT}.evil.example"},
                OriginNotAllowed,
            ),
            ({"Host": "chat.example.org", "Origin": CHAT, "Sec-Fetch-Site": "cross-site"}, OriginNotAllowed),
            ({"Host": "chat.example.org", "Sec-Fetch-Site": "cross-site"}, OriginNotAllowed),
            ({"Host": "chat.example.org", "Origin": ""}, OriginNotAllowed),
            ({"Host": "chat.example.org", "Origin": "https://["}, OriginNotAllowed),
        ],
    )
    def test_a_gateway_behind_a_trusted_proxy(self, headers: dict[str, str], error: Any, is_upgrade: bool):
        assert refusal("trusted-proxy", headers, is_upgrade) is error

    def test_the_names_that_the_gateway_has(self, is_upgrade: bool):
        here = {"Host": "127.0.0.1:18789", "Origin": CHAT}
        assert refusal("trusted-proxy", here, is_upgrade) is OriginNotAllowed
        assert refusal("trusted-proxy", here, is_upgrade, allowed_hosts=("chat.example.org",)) is None
        elsewhere = {**here, "Origin": EVIL}
        named = {"allowed_hosts": ("chat.example.org",)}
        assert refusal("trusted-proxy", elsewhere, is_upgrade, **named) is OriginNotAllowed

    @pytest.mark.parametrize("mode", ["none", "trusted-proxy"])
    def test_listed_pages(self, mode: str, is_upgrade: bool):
        page = {"Origin": CHAT, "Sec-Fetch-Site": "cross-site"}
        ui, cors = {"control_ui": ControlUiSettings(allowed_origins=(CHAT,))}, {"cors_origins": (CHAT,)}
        assert refusal(mode, page, is_upgrade, **(ui if is_upgrade else cors)) is None
        assert refusal(mode, page, is_upgrade, **(cors if is_upgrade else ui)) is OriginNotAllowed


def test_where_there_is_a_secret_pages_need_it_and_may_only_not_open_a_websocket():
    page = {"Origin": EVIL, "Sec-Fetch-Site": "cross-site", "X-Forwarded-For": "1.2.3.4"}
    for mode in ("token", "password"):
        assert refusal(mode, page, is_upgrade=False) is None
        assert refusal(mode, page, is_upgrade=True) is OriginNotAllowed
        own = {"Host": "chat.example.org", "Origin": CHAT, "X-Forwarded-For": "1.2.3.4"}
        assert refusal(mode, own, is_upgrade=True) is None
