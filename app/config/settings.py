"""The operator's configuration, validated and complete: frozen values that every module may read.

Built by `app/config/loader.py`; the keys and defaults are in `docs/config.md`. Sizes are bytes and times
are seconds, whatever unit the file uses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from app.config.agent_settings import AgentSettings
from app.config.apis import DEFAULT_API, ProviderApi
from app.config.limits import Limits, MiB
from app.config.listening import is_loopback_host
from app.config.tool_settings import InvokeToolsSettings, McpSettings, ToolPolicy, ToolSettings

# The words that a setting may have; the schema accepts exactly these.
AuthMode = Literal["token", "password", "none", "trusted-proxy"]
GatewayMode = Literal["local", "remote"]
BindMode = Literal["loopback", "lan", "custom", "auto"]
UnknownModel = Literal["reject", "default"]
Keepalive = Literal["comment", "chunk", "off"]
QueueMode = Literal["wait", "reject"]
LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["text", "json"]

IMAGE_MIMES = ("image/jpeg", "image/png", "image/gif", "image/webp", "image/heic", "image/heif")


@dataclass(frozen=True, slots=True)
class AuthRateLimit:
    max_attempts: int = 10
    window_seconds: float = 60.0
    lockout_seconds: float = 300.0
    exempt_loopback: bool = True


@dataclass(frozen=True, slots=True)
class TrustedProxySettings:
    user_header: str = ""
    required_headers: tuple[str, ...] = ()
    allow_users: tuple[str, ...] = ()
    allow_loopback: bool = False
    admin_users: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AuthSettings:
    mode: AuthMode = "token"
    token: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    rate_limit: AuthRateLimit | None = None
    trusted_proxy: TrustedProxySettings | None = None


@dataclass(frozen=True, slots=True)
class ImageSettings:
    allow_url: bool = False
    url_allowlist: tuple[str, ...] = ()
    allowed_mimes: tuple[str, ...] = IMAGE_MIMES
    max_bytes: int = 10 * MiB
    max_redirects: int = 3
    timeout_seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class ChatCompletionsSettings:
    enabled: bool = False
    max_body_bytes: int = 20 * MiB
    max_image_parts: int = 8
    max_total_image_bytes: int = 20 * MiB
    images: ImageSettings = ImageSettings()
    unknown_model: UnknownModel = "reject"
    tools: ToolPolicy = field(default_factory=ToolPolicy)


@dataclass(frozen=True, slots=True)
class SseSettings:
    keepalive: Keepalive = "comment"
    keepalive_seconds: float = 15.0


@dataclass(frozen=True, slots=True)
class ControlUiSettings:
    allowed_origins: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RemoteSettings:
    """The gateway that the command line connects to, if it is not the one on this machine."""

    url: str | None = None
    token: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """`host` and `port` are where to listen, worked out from `bind`, `customBindHost` and `$PORT`;
    `bound_host` is where the server really listens, which its command line may overrule: None before it does.
    """

    host: str = "127.0.0.1"
    port: int = 18789
    bind: BindMode = "loopback"
    custom_bind_host: str | None = None
    bound_host: str | None = None
    mode: GatewayMode = "local"
    remote: RemoteSettings = RemoteSettings()
    auth: AuthSettings = AuthSettings()
    trusted_proxies: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    metrics_public: bool = False
    chat_completions: ChatCompletionsSettings = ChatCompletionsSettings()
    responses_enabled: bool = False
    cors_origins: tuple[str, ...] = ()
    sse: SseSettings = SseSettings()
    max_runs: int = 1600  # four fifths of the server's connections: health must always find one
    control_ui: ControlUiSettings = ControlUiSettings()
    tools: InvokeToolsSettings = field(default_factory=InvokeToolsSettings)

    @property
    def is_loopback(self) -> bool:
        return is_loopback_host(self.bound_host or self.host)


@dataclass(frozen=True, slots=True)
class ProviderTimeouts:
    """Seconds. `first_token` and `idle` are silences; `total` bounds one model call, None for no bound."""

    connect: float = 10.0
    first_token: float = 120.0
    idle: float = 60.0
    total: float | None = None


@dataclass(frozen=True, slots=True)
class ModelSettings:
    id: str
    name: str | None = None
    input: tuple[str, ...] = ("text",)
    context_window: int | None = None
    max_tokens: int | None = None
    reasoning: bool = False
    cost: Mapping[str, float] = field(default_factory=dict)
    compat: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """`scripts` has the steps of each script (api `scripted`). The CA files add to the public authorities."""

    name: str
    api: ProviderApi = DEFAULT_API
    base_url: str = ""
    api_key: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    proxy: str | None = field(default=None, repr=False)
    ca_file: Path | None = None
    trusted_ca_files: tuple[Path, ...] = ()
    timeouts: ProviderTimeouts = ProviderTimeouts()
    models: tuple[ModelSettings, ...] = ()
    default_model: str | None = None  # the catalogue's suggestion
    scripts: Mapping[str, tuple[Mapping[str, Any], ...]] = field(default_factory=dict)

    def model(self, model_id: str) -> ModelSettings:
        """The configured model of that id, or one with defaults: a provider may serve others."""
        for model in self.models:
            if model.id == model_id:
                return model
        return _unlisted_model(model_id)


@lru_cache(maxsize=256)
def _unlisted_model(model_id: str) -> ModelSettings:
    return ModelSettings(id=model_id)


@dataclass(frozen=True, slots=True)
class SessionSettings:
    main_key: str = "main"
    queue_mode: QueueMode = "wait"
    queue_cap: int = 20
    prune_after_seconds: float = 30 * 86400.0
    max_entries: int = 5000


@dataclass(frozen=True, slots=True)
class LoggingSettings:
    level: LogLevel = "info"
    format: LogFormat | None = None  # None: text on a terminal, else JSON


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole configuration. `agents` has at least one entry and exactly one with `default` true.
    `tools` is the policy for all agents; an agent's own `tools` comes on top of it. `notes` are lines
    for the log (sections that are not used, files that cannot be read). `sources` are the files that were
    looked for, also those that do not exist: a change to one of them may change the settings.
    """

    state_dir: Path
    config_path: Path | None = None
    gateway: GatewaySettings = GatewaySettings()
    agents: tuple[AgentSettings, ...] = (AgentSettings(id="main", default=True),)
    providers: Mapping[str, ProviderSettings] = field(default_factory=dict)
    session: SessionSettings = SessionSettings()
    storage_url: str = field(default="", repr=False)
    redis_url: str | None = field(default=None, repr=False)
    redis_ssl_verify: bool = True
    logging: LoggingSettings = LoggingSettings()
    limits: Limits = field(default_factory=Limits)
    tools: ToolSettings = field(default_factory=ToolSettings)
    mcp: McpSettings = field(default_factory=McpSettings)
    notes: tuple[str, ...] = ()
    sources: tuple[Path, ...] = ()

    @property
    def default_agent(self) -> AgentSettings:
        return next(agent for agent in self.agents if agent.default)

    def agent(self, agent_id: str) -> AgentSettings | None:
        return next((agent for agent in self.agents if agent.id == agent_id), None)
