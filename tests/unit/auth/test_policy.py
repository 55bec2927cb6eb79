"""What a gateway may be started with."""

from __future__ import annotations

import pytest

from app.auth.policy import MIN_SECRET, PLACEHOLDERS, check_start
from app.config.listening import Address, widest_host
from app.config.settings import AuthSettings, GatewaySettings
from app.errors import ConfigError

GOOD = "a-good-secret-0123456789"
LOOPBACK = ("127.0.0.1", "127.1.2.3", "localhost", "::1", "::ffff:127.0.0.1")
BEYOND = ("0.0.0.0", "::", "192.168.1.5", "gateway.example.org", "127.evil.example")


def refusal(host: str, auth: AuthSettings) -> str | None:
    """Why it may not start; None if it may."""
    try:
        check_start(GatewaySettings(host=host, auth=auth))
    except ConfigError as error:
        return error.message
    return None


@pytest.mark.parametrize("host", LOOPBACK + BEYOND)
@pytest.mark.parametrize("mode", ["token", "password"])
def test_a_good_secret_may_listen_anywhere(host: str, mode: str):
    assert refusal(host, AuthSettings(mode, **{mode: GOOD})) is None  # type: ignore[arg-type]


@pytest.mark.parametrize("host", LOOPBACK + BEYOND)
@pytest.mark.parametrize("mode", ["token", "password"])
def test_no_secret_is_refused_saying_what_to_set(host: str, mode: str):
    other = "password" if mode == "token" else "token"
    for auth in ({}, {mode: ""}, {other: GOOD}):
        message = refusal(host, AuthSettings(mode, **auth)) or ""  # type: ignore[arg-type]
        assert f"gateway.auth.{mode}" in message
        assert f"OPENCLAW_GATEWAY_{mode.upper()}" in message
        assert GOOD not in message


@pytest.mark.parametrize("mode", ["token", "password"])
@pytest.mark.parametrize(
    "secret",
    [
        *sorted(PLACEHOLDERS),
        *(
            "YOUR_TOKEN",
            " ChangeMe ",
            "${OPENCLAW_GATEWAY_TOKEN}",
            "$${OPENCLAW_GATEWAY_TOKEN}",
            "${my token}",
        ),
        *("prefix-${OPENCLAW_GATEWAY_TOKEN}", "$OPENCLAW_GATEWAY_TOKEN", "%OPENCLAW_GATEWAY_TOKEN%"),
        *("{{ gateway_token_value }}", "<put your own token here>"),
    ],
)
def test_a_placeholder_is_for_loopback_only(mode: str, secret: str):
    auth = AuthSettings(mode, **{mode: secret})  # type: ignore[arg-type]
    assert all(refusal(host, auth) is None for host in LOOPBACK)
    assert all("placeholder" in (refusal(host, auth) or "") for host in BEYOND)


@pytest.mark.parametrize(("length", "may"), [(1, False), (MIN_SECRET - 1, False), (MIN_SECRET, True)])
def test_a_short_secret_is_for_loopback_only(length: int, may: bool):
    auth = AuthSettings(token="q" * length)
    assert refusal("127.0.0.1", auth) is None
    assert (refusal("0.0.0.0", auth) is None) is may


@pytest.mark.parametrize("auth", [AuthSettings("none"), AuthSettings("none", token=GOOD)])
def test_mode_none_is_for_loopback_only(auth: AuthSettings):
    assert all(refusal(host, auth) is None for host in LOOPBACK)
    for host in BEYOND:
        assert host in (refusal(host, auth) or "")


def test_a_trusted_proxy_must_be_named():
    assert "gateway.trustedProxies" in (refusal("0.0.0.0", AuthSettings("trusted-proxy")) or "")


@pytest.mark.parametrize(
    ("addresses", "host"),
    [
        ([("127.0.0.1", 1)], "127.0.0.1"),
        ([("::1", 1, 0, 0)], "::1"),
        ([("127.0.0.1", 1), ("::", 1), ("::1", 2)], "::"),
        (["/run/gateway.sock"], "a socket ('/run/gateway.sock')"),
        ([], "127.0.0.1"),
    ],
)
def test_the_widest_of_several_addresses_counts(addresses: list[Address], host: str):
    assert widest_host(addresses) == host


def test_where_the_server_listens_overrules_the_settings():
    assert not GatewaySettings(bound_host="0.0.0.0").is_loopback
    assert GatewaySettings(host="0.0.0.0", bound_host="127.0.0.1").is_loopback
