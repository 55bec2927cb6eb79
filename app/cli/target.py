"""Which gateway a command talks to, and with which secret."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from marshmallow import ValidationError

from app.cli.errors import WrongUse
from app.cli.options import SECRET_KINDS
from app.config.loader import load_settings
from app.config.schema.checks import remote_url
from app.config.settings import AuthSettings, GatewaySettings, RemoteSettings
from app.config.source.paths import openclaw_env

SCHEMES = {"http": "ws", "https": "wss"}


@dataclass(frozen=True, slots=True)
class Target:
    """`auth` is that of `connect`; `source` says where it comes from, for the message if it is refused."""

    url: str
    auth: Mapping[str, str] = field(default_factory=dict, repr=False)
    source: str = ""


def find_target(args: argparse.Namespace, environ: Mapping[str, str]) -> Target:
    """Options before environment before configuration; but the secret of `gateway.remote` before that of the
    environment, which is for the gateway on this machine. Raises WrongUse and ConfigError.
    """
    given = {kind: value for kind in SECRET_KINDS if (value := getattr(args, kind))}
    url = args.url or openclaw_env(environ, "GATEWAY_URL")
    if url and given:  # complete: a wrong or missing configuration does not matter
        return Target(normal_url(url), given, "the command's options")
    settings = load_settings(environ).gateway
    url = normal_url(url or configured_url(settings))
    if given:
        return Target(url, given, "the command's options")
    from_environ = {
        kind: value for kind in SECRET_KINDS if (value := openclaw_env(environ, f"GATEWAY_{kind.upper()}"))
    }
    sources = [(from_environ, "the environment"), _configured_secret(url, settings)]
    if is_remote(url, settings):
        sources.reverse()
    auth: dict[str, str] = {}
    for found, _ in reversed(sources):
        auth |= found
    return Target(url, auth, " and ".join(source for found, source in sources if found))


def configured_url(settings: GatewaySettings) -> str:
    """`gateway.remote.url` in remote mode, else this machine's gateway."""
    if settings.mode == "remote" and settings.remote.url:
        return settings.remote.url
    return local_url(settings)


def local_url(settings: GatewaySettings) -> str:
    """The address of the gateway that these settings start on this machine."""
    host = settings.host if settings.bind == "custom" else "127.0.0.1"
    return f"ws://[{host}]:{settings.port}/" if ":" in host else f"ws://{host}:{settings.port}/"


def is_remote(url: str, settings: GatewaySettings) -> bool:
    """Whether `url` is the address of `gateway.remote`."""
    return settings.remote.url is not None and url == normal_url(settings.remote.url)


def normal_url(text: str) -> str:
    """`text` as a WebSocket URL. Raises WrongUse."""
    try:
        parts = urlsplit(remote_url(text))
    except ValidationError as error:
        raise WrongUse(f"The gateway's address {text[:200]!r} {error.messages[0]}.") from error
    scheme = SCHEMES.get(parts.scheme, parts.scheme)
    return f"{scheme}://{parts.netloc}{parts.path or '/'}"


def _configured_secret(url: str, settings: GatewaySettings) -> tuple[dict[str, str], str]:
    """The secret and where it stands. A configuration's secrets go only to the gateways it names itself."""
    found: RemoteSettings | AuthSettings
    if is_remote(url, settings):
        found, source = settings.remote, "gateway.remote"
    elif url in (local_url(settings), f"ws://localhost:{settings.port}/"):
        found, source = settings.auth, "gateway.auth"
    else:
        return {}, ""
    auth = {kind: value for kind in SECRET_KINDS if (value := getattr(found, kind))}
    return auth, f"the configuration ({source})"
