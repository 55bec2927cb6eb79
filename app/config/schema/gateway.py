"""`gateway`: where to listen, who may call, and which endpoints are enabled."""

from __future__ import annotations

from typing import Any

from marshmallow import ValidationError, validates_schema

from app.config.schema import checks, openclaw
from app.config.schema.fields import Boolean, Enum, Float, Integer, Milliseconds, Secret, String, StringList
from app.config.schema.nesting import Nested
from app.config.schema.section import Section
from app.config.schema.tools import InvokeToolsSchema, ToolPolicySchema
from app.config.settings import (
    AuthMode,
    AuthRateLimit,
    AuthSettings,
    BindMode,
    ChatCompletionsSettings,
    ControlUiSettings,
    GatewayMode,
    GatewaySettings,
    ImageSettings,
    Keepalive,
    RemoteSettings,
    SseSettings,
    TrustedProxySettings,
    UnknownModel,
)


class RateLimitSchema(Section):
    makes = AuthRateLimit
    max_attempts = Integer("Failed attempts before a caller is locked out.", low=1)
    window_seconds = Milliseconds("The time window in which they are counted.", low=1, data_key="windowMs")
    lockout_seconds = Milliseconds("How long a caller is locked out.", low=1, data_key="lockoutMs")
    exempt_loopback = Boolean("Callers on this machine are never locked out.")


class TrustedProxySchema(Section):
    makes = TrustedProxySettings
    unused = openclaw.TRUSTED_PROXY
    user_header = String(
        "The header in which the proxy names the caller.", check=checks.header_name, required=True
    )
    required_headers = StringList("Further headers that must be present.", check=checks.header_name)
    allow_users = StringList("The users who may call; if empty, every user that the proxy names.")
    admin_users = StringList(
        "Those of them who are operators: all sessions, logs and settings. Others have their own sessions."
    )
    allow_loopback = Boolean("Whether the proxy may be on this machine.")


class AuthSchema(Section):
    defaults = AuthSettings
    unused = openclaw.AUTH
    mode = Enum("How callers authenticate. Not set: `password` if a password is set, else `token`.", AuthMode)
    token = Secret("The shared token; takes precedence over `OPENCLAW_GATEWAY_TOKEN`.")
    password = Secret("The shared password; takes precedence over `OPENCLAW_GATEWAY_PASSWORD`.")
    rate_limit = Nested(RateLimitSchema)
    trusted_proxy = Nested(TrustedProxySchema)


class ImagesSchema(Section):
    makes = ImageSettings
    allow_url = Boolean("Fetch images that a request names by URL.")
    url_allowlist = StringList("Hosts they may come from, `*.example.com` for all subdomains; any if empty.")
    allowed_mimes = StringList("Media types of images that are accepted.", check=str.lower)
    max_bytes = Integer("The largest image.", low=1)
    max_redirects = Integer("Redirects to follow when fetching.", low=0, high=20)
    timeout_seconds = Milliseconds("The longest a fetch may take.", low=1, data_key="timeoutMs")


class ChatCompletionsSchema(Section):
    makes = ChatCompletionsSettings
    enabled = Boolean(
        "Serve `/v1/chat/completions`, `/v1/models` and `/v1/embeddings`. Not set: "
        "`OPENCLAW_CHAT_COMPLETIONS=1` or `=0` in the environment decides."
    )
    max_body_bytes = Integer("The largest request.", low=1)
    max_image_parts = Integer("The most images in the newest user message.", low=0)
    max_total_image_bytes = Integer("The largest size of all images of a request together.", low=1)
    images = Nested(ImagesSchema)
    unknown_model = Enum("What a `model` that names no agent gets: 404 or the default agent.", UnknownModel)
    tools = Nested(ToolPolicySchema)


class ResponsesSchema(Section):
    unused = openclaw.RESPONSES
    responses_enabled = Boolean("Serve `/v1/responses`.", data_key="enabled", in_use=False)


class EndpointsSchema(Section):
    chat_completions = Nested(ChatCompletionsSchema)
    responses = Nested(ResponsesSchema, group=True)


class CorsSchema(Section):
    cors_origins = StringList(
        "Exact origins whose pages may call the API.", check=checks.origin, data_key="origins"
    )


class SseSchema(Section):
    makes = SseSettings
    keepalive = Enum("What to send when a stream has been silent for a while.", Keepalive)
    keepalive_seconds = Float("How long a stream may be silent before that.", low=0.05, high=3600)


class HttpSchema(Section):
    unused = openclaw.HTTP
    endpoints = Nested(EndpointsSchema, group=True)
    cors = Nested(CorsSchema, group=True)
    sse = Nested(SseSchema)
    max_runs = Integer("The most runs at a time, with queued ones; more are refused with 429.", low=1)


class MetricsSchema(Section):
    metrics_public = Boolean("Serve `/metrics` without authentication.", data_key="public")


class ControlUiSchema(Section):
    makes = ControlUiSettings
    unused = openclaw.CONTROL_UI
    allowed_origins = StringList(
        "Origins, besides the gateway's own, whose pages may open a WebSocket.", check=checks.origin
    )


class RemoteSchema(Section):
    makes = RemoteSettings
    unused = openclaw.REMOTE
    url = String("The gateway that the command line connects to.", check=checks.remote_url)
    token = Secret("Its token.")
    password = Secret("Its password.")


class GatewaySchema(Section):
    """Loads into a dict: the address and the credentials also depend on the environment."""

    defaults = GatewaySettings
    unused = openclaw.GATEWAY
    mode = Enum("Whether the command line uses this machine's gateway or `remote`.", GatewayMode)
    port = Integer(
        "The port to listen on; `$PORT` and `OPENCLAW_GATEWAY_PORT` take precedence.", low=1, high=65535
    )
    bind = Enum(
        "Where to listen: this machine only, all interfaces, `customBindHost`; `auto` is `loopback`.",
        BindMode,
    )
    custom_bind_host = String('The address for `bind: "custom"`.', check=checks.host)
    auth = Nested(AuthSchema)
    trusted_proxies = StringList(
        "IP addresses and CIDRs of the reverse proxies to trust.", check=checks.network
    )
    allowed_hosts = StringList(
        "The values of the `Host` header that are accepted, besides loopback names. If empty, any, but on "
        "a gateway without a secret, or on loopback without `trustedProxies`, none.",
        check=checks.allowed_host,
    )
    metrics = Nested(MetricsSchema, group=True)
    http = Nested(HttpSchema, group=True)
    control_ui = Nested(ControlUiSchema)
    remote = Nested(RemoteSchema)
    tools = Nested(InvokeToolsSchema)

    @validates_schema(skip_on_field_errors=True)
    def _custom_needs_a_host(self, data: dict[str, Any], **_: Any) -> None:
        if data.get("bind") == "custom" and not data.get("custom_bind_host"):
            raise ValidationError('is missing: `bind: "custom"` needs it', "customBindHost")

    @validates_schema(skip_on_field_errors=True)
    def _trusted_proxy_is_described(self, data: dict[str, Any], **_: Any) -> None:
        auth = data.get("auth", {})
        if auth.get("mode") != "trusted-proxy":
            return
        if "trusted_proxy" not in auth:
            raise ValidationError({"auth": {"trustedProxy": ["is missing: mode `trusted-proxy` needs it"]}})
        if not data.get("trusted_proxies"):
            raise ValidationError("is missing: mode `trusted-proxy` needs one", "trustedProxies")
