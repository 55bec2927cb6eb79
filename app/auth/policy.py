"""Which settings a gateway may be started with (docs/http.md#authentication)."""

from __future__ import annotations

import re

from app.config.settings import AuthSettings, GatewaySettings
from app.errors import ConfigError

PLACEHOLDERS = frozenset(
    {"your_token", "your-token", "yourtoken", "your_password", "your-password", "changeme", "change-me"}
    | {"change_me", "secret", "token", "password", "default", "example", "test", "admin", "openclaw"}
    | {"clawdbot", "try-me-on-loopback", "replace-me", "replace_me", "todo", "my-token", "mytoken"}
    | {"my-secret", "__openclaw_redacted__", "123456", "12345678", "123456789", "qwerty", "letmein"}
)
MIN_SECRET = 16
# `${NAME}`, `$NAME`, `%NAME%`, `{{ name }}`, `<your token>`: a name that nothing has replaced by its value.
_UNREPLACED = re.compile(r".*\$\{[^}]*\}.*|\$\w+|%\w+%|\{\{.*\}\}|<.*>", re.DOTALL)


def check_start(gateway: GatewaySettings) -> None:
    """Raise ConfigError, with the setting to change, if nobody or everybody could use the gateway."""
    auth = gateway.auth
    if auth.mode == "none":
        if not gateway.is_loopback:
            raise ConfigError(
                f"gateway.auth.mode is `none`, but the gateway would listen on {_where(gateway)}. "
                "Without a secret it may only listen on loopback: set gateway.auth.token, or set "
                "gateway.bind to `loopback`."
            )
        return
    if auth.mode == "trusted-proxy":
        if not gateway.trusted_proxies:
            raise ConfigError(
                "gateway.auth.mode is `trusted-proxy`, but gateway.trustedProxies is empty: nobody could "
                "get in. List the proxy's address."
            )
        return
    _check_secret(auth, gateway.is_loopback)


def is_placeholder(secret: str) -> bool:
    """Whether a secret is one that everybody knows, or only the name of one: `${OPENCLAW_GATEWAY_TOKEN}`."""
    written = secret.strip()
    return written.lower() in PLACEHOLDERS or _UNREPLACED.fullmatch(written) is not None


def _where(gateway: GatewaySettings) -> str:
    return gateway.bound_host or gateway.host


def _check_secret(auth: AuthSettings, is_loopback: bool) -> None:
    secret = auth.password if auth.mode == "password" else auth.token
    if not secret:
        raise ConfigError(
            f"The gateway has no {auth.mode}. Set gateway.auth.{auth.mode} in the configuration or "
            f"OPENCLAW_GATEWAY_{auth.mode.upper()} in the environment; "
            "`python -c 'import secrets; print(secrets.token_urlsafe(32))'` makes a good one."
        )
    if is_loopback:
        return
    if is_placeholder(secret):
        raise ConfigError(
            f"gateway.auth.{auth.mode} is a well-known placeholder, and the gateway would listen beyond "
            "loopback. Set one of your own."
        )
    if len(secret) < MIN_SECRET:
        raise ConfigError(
            f"gateway.auth.{auth.mode} has fewer than {MIN_SECRET} characters, and the gateway would listen "
            "beyond loopback. Set a longer one."
        )
