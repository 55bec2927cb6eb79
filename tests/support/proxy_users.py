"""People whom a trusted proxy names: a gateway that believes it, and what each of them sends."""

from __future__ import annotations

from typing import Any

from tests.support.gateway import Answer, GatewayProcess, config_for
from tests.support.operator import Operator, connect_params

USER_HEADER = "x-user"


def proxy_config(provider_url: str, **proxy: Any) -> dict[str, Any]:
    """A gateway behind a trusted proxy on this machine; `root` is an operator. `proxy`: further settings."""
    config = config_for(provider_url, trustedProxies=["127.0.0.0/8"])
    given = {"userHeader": USER_HEADER, "allowLoopback": True, "adminUsers": ["root"], **proxy}
    config["gateway"]["auth"] = {"mode": "trusted-proxy", "trustedProxy": given}
    return config


def connected(
    gateway: GatewayProcess, user: str, *, headers: dict[str, str] | None = None, **changes: Any
) -> Operator:
    """A client of the Gateway protocol that the proxy names `user`; `changes` are of its `connect` params."""
    client = Operator(gateway, headers={USER_HEADER: user, **(headers or {})})
    client.receive()
    client.hello = client.call("connect", connect_params(auth=None, **changes))
    return client


def ask(gateway: GatewayProcess, user: str, text: str, **headers: str) -> Answer:
    """A request over HTTP; header names are written with underscores."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    body = {"model": "openclaw", "messages": [{"role": "user", "content": text}]}
    return gateway.request("POST", "/v1/chat/completions", body, {USER_HEADER: user, **given})


def say(client: Operator, text: str, key: str, run_id: str) -> dict[str, Any]:
    """A whole turn by `chat.send`; the payload of its last event."""
    client.call("chat.send", {"sessionKey": key, "message": text, "idempotencyKey": run_id})
    return client.until("chat", runId=run_id, state="final")
