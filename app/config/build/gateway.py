"""Builds `Settings.gateway` from the loaded section and the environment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marshmallow import ValidationError

from app.config.schema import checks
from app.config.schema.gateway import GatewaySchema
from app.config.settings import AuthMode, AuthSettings, GatewaySettings
from app.config.source.paths import openclaw_env
from app.config.source.problems import Problems
from app.config.source.token_file import read_token

_HOSTS = {"loopback": "127.0.0.1", "auto": "127.0.0.1", "lan": "0.0.0.0"}  # noqa: S104


@dataclass(frozen=True, slots=True)
class GatewayBuilder:
    """`section` is the loaded `gateway`."""

    section: Mapping[str, Any]
    environ: Mapping[str, str]
    problems: Problems
    state_dir: Path

    def build(self) -> GatewaySettings:
        """Mistakes in the environment are added to `problems`."""
        given = dict(self.section)
        given["auth"] = self._auth(given.get("auth", {}))
        given["host"] = _HOSTS.get(given.get("bind", "loopback")) or given["custom_bind_host"]
        if port := self._port("OPENCLAW_GATEWAY_PORT") or self._port("CLAWDBOT_GATEWAY_PORT"):
            given["port"] = port
        if port := self._port("PORT"):
            # A platform that sets $PORT (Heroku and others) connects from outside the machine.
            given.update(port=port, host="0.0.0.0")  # noqa: S104
        return GatewaySettings(**given)

    def _auth(self, given: Mapping[str, Any]) -> AuthSettings:
        token = given.get("token") or self._secret("GATEWAY_TOKEN")
        password = given.get("password") or self._secret("GATEWAY_PASSWORD")
        if not token and not password:
            token = read_token(self.state_dir)
        mode: AuthMode = given.get("mode") or ("password" if password else "token")
        return AuthSettings(**{**given, "mode": mode, "token": token, "password": password})

    def _secret(self, name: str) -> str | None:
        written = openclaw_env(self.environ, name) or ""
        secret: str | None = from_environ(f"OPENCLAW_{name}", written, checks.secret, self.problems)
        return secret or None

    def _port(self, name: str) -> int | None:
        written = self.environ.get(name, "").strip()
        port: int | None = from_environ(
            name, written, GatewaySchema().fields["port"].deserialize, self.problems
        )
        return port


def from_environ(name: str, written: str, load: Callable[[str], Any], problems: Problems) -> Any:
    """The value of an environment variable as a setting, loaded by `load`.

    None if it is not set; if `load` refuses it, that is added to `problems`.
    """
    if not written:
        return None
    try:
        return load(written)
    except ValidationError as error:
        problems.add_at("environment", f"{name}: {error.messages[0]}")
        return None
