"""`connect`, the first request of every connection (docs/websocket.md#connecting)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from app import VERSION
from app.auth.authenticate import Caller, authenticate, is_gateway_secret
from app.auth.principal import Principal
from app.auth.scopes import common_scopes
from app.errors import AuthRateLimited, GatewayError, InvalidRequest, Unauthorized
from app.gateway import Gateway
from app.routing.operator import main_key, main_session_key
from app.ws.call import Client
from app.ws.errors import ProtocolError

MIN_PROTOCOL, MAX_PROTOCOL = 3, 4
TICK_SECONDS = 30.0
MAX_PAYLOAD = 25 * 1024 * 1024
MAX_BUFFERED = 50 * 1024 * 1024
MAX_CLIENT_TEXT = 256  # characters of what a client says about itself: each operator is shown all of them
ROLES = ("operator", "node")


class ProtocolMismatch(ProtocolError):
    """No protocol version in common. Its close code is 1002, that of all other failures 1008."""


@dataclass(frozen=True, slots=True)
class AcceptedClient:
    """An authenticated client, and what was agreed with it.

    `scopes` are those of `principal`, in the order in which the client asked for them.
    """

    client: Client
    principal: Principal
    protocol: int
    role: str
    scopes: tuple[str, ...]


def accept_connect(params: Mapping[str, Any], caller: Caller, gateway: Gateway) -> AcceptedClient:
    """Check the params of `connect`: their shape, the protocol, the role and the secret, in this order.

    What the client may do comes from who it is; the scopes that it asks for can only make it less. A `device`
    block is ignored: the shared secret alone authenticates. Raises InvalidRequest, ProtocolMismatch,
    Forbidden, and ProtocolError for a client that is not authenticated, or that has tried too often.
    """
    client = _load_client(params)
    protocol = _negotiate_protocol(params)
    role = params.get("role", "operator")
    if role not in ROLES:
        raise InvalidRequest("invalid role")
    asked = _load_scopes(params)
    principal = _authenticate(params, caller, gateway)
    scopes = _narrow(principal.scopes, asked)
    return AcceptedClient(client, replace(principal, scopes=frozenset(scopes)), protocol, role, scopes)


def _load_client(params: Mapping[str, Any]) -> Client:
    given = params.get("client")
    if not isinstance(given, Mapping):
        raise _invalid("at root: must have required property 'client'")
    for name in ("id", "version", "platform", "mode"):
        if not isinstance(given.get(name), str) or not given[name]:
            raise _invalid(f"at /client/{name}: must be a non-empty string")
    cut = {name: given[name][:MAX_CLIENT_TEXT] for name in ("id", "version", "platform", "mode")}
    return Client(
        **cut,
        display_name=_optional(given.get("displayName")),
        instance_id=_optional(given.get("instanceId")),
        caps=frozenset(_strings(params.get("caps"))),
    )


def _negotiate_protocol(params: Mapping[str, Any]) -> int:
    """The newest protocol version that both sides know. Raises ProtocolMismatch and InvalidRequest."""
    low, high = params.get("minProtocol"), params.get("maxProtocol")
    for name, value in (("minProtocol", low), ("maxProtocol", high)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise _invalid(f"at /{name}: must be an integer >= 1")
    assert isinstance(low, int)
    assert isinstance(high, int)
    protocol = min(high, MAX_PROTOCOL)
    if protocol < low or protocol < MIN_PROTOCOL:
        details = {
            "code": "PROTOCOL_MISMATCH",
            "expectedProtocol": MAX_PROTOCOL,
            "supportedProtocols": [MIN_PROTOCOL, MAX_PROTOCOL],
            "clientMinProtocol": low,
            "clientMaxProtocol": high,
        }
        raise ProtocolMismatch("protocol mismatch", details)
    return protocol


def _authenticate(params: Mapping[str, Any], caller: Caller, gateway: Gateway) -> Principal:
    settings = gateway.settings.gateway
    if settings.auth.mode in ("none", "trusted-proxy"):
        try:
            return authenticate(caller, settings, gateway.auth_limiter)
        except Unauthorized as error:
            raise ProtocolError("unauthorized", {"code": "AUTH_UNAUTHORIZED"}) from error
    given = params.get("auth")
    auth = given if isinstance(given, Mapping) else {}
    given_texts = (text for name in ("token", "password") if isinstance(text := auth.get(name), str))
    secrets = [tidy for text in given_texts if (tidy := text.strip())]
    kind = settings.auth.mode
    if not secrets:
        raise _refusal(kind, "missing")
    right = next((text for text in secrets if _is_right(text, gateway)), None)
    try:
        # Counts as one attempt, however many fields have a secret; the limits are those of HTTP.
        offered = _header(caller, right or secrets[0])
        return authenticate(offered, settings, gateway.auth_limiter)
    except AuthRateLimited as error:
        details = {"code": "AUTH_RATE_LIMITED", "retryAfterMs": int((error.retry_after or 1) * 1000)}
        raise ProtocolError("unauthorized: too many failed attempts", details, "UNAVAILABLE") from error
    except Unauthorized as error:
        raise _refusal(kind, "mismatch") from error


def _is_right(secret: str, gateway: Gateway) -> bool:
    return is_gateway_secret(_as_header(secret), gateway.settings.gateway.auth)


def _header(caller: Caller, secret: str) -> Caller:
    def header(name: str) -> str | None:
        return f"Bearer {_as_header(secret)}" if name == "Authorization" else caller.header(name)

    return Caller(caller.peer, header)


def _as_header(secret: str) -> str:
    """The secret as WSGI has it in a header, which is what `authenticate` takes."""
    return secret.encode("utf-8", "surrogatepass").decode("latin-1")


def _refusal(kind: str, what: str) -> GatewayError:
    hint = f"set gateway.remote.{kind} to match gateway.auth.{kind}"
    details = {
        "code": f"AUTH_{kind.upper()}_{what.upper()}",
        "authReason": f"{kind}_{what}",
        "canRetryWithDeviceToken": False,
        "recommendedNextStep": "update_auth_configuration",
    }
    return ProtocolError(f"unauthorized: gateway {kind} {what} ({hint})", details)


def _load_scopes(params: Mapping[str, Any]) -> tuple[str, ...]:
    """The scopes that the client asks for; empty if it names none. Raises InvalidRequest."""
    given = params.get("scopes", [])
    if not isinstance(given, list):
        raise _invalid("at /scopes: must be array of strings")
    for index, one in enumerate(given):
        if not isinstance(one, str) or not one.strip():
            raise _invalid(f"at /scopes/{index}: must be a non-empty string")
    return tuple(dict.fromkeys(given))


def _narrow(granted: frozenset[str], asked: tuple[str, ...]) -> tuple[str, ...]:
    """Of the scopes granted those that the client asks for, or all if it names none."""
    if not asked:
        return tuple(sorted(granted))
    common = common_scopes(granted, frozenset(asked))
    return (*(one for one in asked if one in common), *sorted(common.difference(asked)))


def _strings(value: object) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _invalid(what: str) -> InvalidRequest:
    return InvalidRequest(f"invalid connect params: {what}")


def _optional(value: object) -> str | None:
    return value[:MAX_CLIENT_TEXT] if isinstance(value, str) else None


def build_hello(
    welcome: AcceptedClient,
    gateway: Gateway,
    conn_id: str,
    methods: list[str],
    presence: list[dict[str, Any]],
) -> dict[str, Any]:
    """The payload of `connect`'s response. `methods` are served, `presence` says who is connected.

    It never has a device token: clients would send that instead of the secret the next time.
    """
    settings, owner = gateway.settings, welcome.principal.owner
    return {
        "type": "hello-ok",
        "protocol": welcome.protocol,
        "server": {"version": VERSION, "connId": conn_id, "controlUiBuildSource": "configured"},
        "features": {"methods": methods, "events": list(EVENTS), "capabilities": list(CAPABILITIES)},
        "snapshot": {
            "presence": presence,
            "health": {},
            "stateVersion": {"presence": 0, "health": 0},
            "uptimeMs": gateway.status.uptime_ms,
            "sessionDefaults": {
                "defaultAgentId": settings.default_agent.id,
                "mainKey": main_key(settings, owner),
                "mainSessionKey": main_session_key(settings, owner),
                "scope": "per-sender",
                "modelConfigured": True,
            },
        },
        "auth": {"role": welcome.role, "scopes": list(welcome.scopes)},
        "policy": {
            "maxPayload": MAX_PAYLOAD,
            "maxBufferedBytes": MAX_BUFFERED,
            "tickIntervalMs": int(TICK_SECONDS * 1000),
        },
    }


# Without it the newest command line does not ask for models.
CAPABILITIES = ("published-model-catalog",)
EVENTS = (
    *("connect.challenge", "agent", "chat", "tick", "shutdown", "exec.approval.requested"),
    *("exec.approval.resolved", "plugin.approval.requested", "plugin.approval.resolved"),
    *("question.requested", "question.resolved", "sessions.changed"),
)
