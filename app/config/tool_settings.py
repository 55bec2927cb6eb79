"""The part of the settings that concerns tools: `tools`, an agent's own `tools`, sub-agents and `mcp`.

Like `app/config/settings.py`: frozen values, sizes in bytes, times in seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Profile = Literal["minimal", "coding", "messaging", "full"]
ExecSecurity = Literal["deny", "allowlist", "full"]
ExecAsk = Literal["off", "on-miss", "always"]
ExecMode = Literal["deny", "allowlist", "ask", "full"]
Sandbox = Literal["auto", "required", "off"]
Visibility = Literal["self", "tree", "agent", "all"]
SearchProvider = Literal["brave", "searxng"]
McpTransport = Literal["stdio", "streamable-http", "sse"]

# `mode` is the newer word for a pair of `security` and `ask`.
EXEC_MODES: Mapping[str, tuple[ExecSecurity, ExecAsk]] = {
    "deny": ("deny", "off"),
    "allowlist": ("allowlist", "off"),
    "ask": ("allowlist", "on-miss"),
    "full": ("full", "off"),
}


@dataclass(frozen=True, slots=True)
class ToolPolicy:
    """Which tools may be used: names, globs and groups (`group:fs`)."""

    profile: Profile | None = None
    allow: tuple[str, ...] = ()
    also_allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ExecSettings:
    """`mode`, or the older pair of `security` and `ask`; both mean a `rule`."""

    mode: ExecMode | None = None
    security: ExecSecurity | None = None
    ask: ExecAsk | None = None
    timeout_seconds: float = 1800.0
    background_seconds: float = 10.0
    cleanup_seconds: float = 1800.0
    approval_timeout_seconds: float = 1800.0
    path_prepend: tuple[str, ...] = ()
    inherit_env: tuple[str, ...] = ()
    safe_bins: tuple[str, ...] = ("cut", "uniq", "head", "tail", "tr", "wc")
    safe_bin_trusted_dirs: tuple[str, ...] = ("/bin", "/usr/bin")
    sandbox: Sandbox = "auto"
    sandbox_network: bool = False

    @property
    def rule(self) -> tuple[ExecSecurity, ExecAsk]:
        """Which commands may run, and which are asked about. By default: whatever is not allowed."""
        if self.security is None and self.ask is None:
            return EXEC_MODES[self.mode or "ask"]
        security = self.security or "allowlist"
        return security, self.ask or ("on-miss" if security == "allowlist" else "off")


@dataclass(frozen=True, slots=True)
class FsSettings:
    workspace_only: bool = True
    write_prompt_files: bool = False


@dataclass(frozen=True, slots=True)
class FetchAddresses:
    """Which addresses `web_fetch` may reach besides public ones."""

    dangerously_allow_private_network: bool = False
    allowed_hostnames: tuple[str, ...] = ()
    blocked_hostnames: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WebFetchSettings:
    enabled: bool = True
    max_chars: int = 20_000
    max_response_bytes: int = 750_000
    timeout_seconds: float = 30.0
    cache_ttl_minutes: float = 15.0
    max_redirects: int = 3
    readability: bool = True
    user_agent: str | None = None
    ssrf_policy: FetchAddresses = FetchAddresses()


@dataclass(frozen=True, slots=True)
class WebSearchSettings:
    """`provider` None: there is no `web_search`."""

    enabled: bool = True
    provider: SearchProvider | None = None
    api_key: str | None = field(default=None, repr=False)
    base_url: str | None = None
    max_results: int = 5
    timeout_seconds: float = 30.0
    cache_ttl_minutes: float = 15.0


@dataclass(frozen=True, slots=True)
class WebSettings:
    fetch: WebFetchSettings = WebFetchSettings()
    search: WebSearchSettings = WebSearchSettings()


@dataclass(frozen=True, slots=True)
class SessionToolsSettings:
    visibility: Visibility = "agent"


@dataclass(frozen=True, slots=True)
class LoopDetectionSettings:
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class SubagentToolsSettings:
    tools: ToolPolicy = ToolPolicy()


@dataclass(frozen=True, slots=True)
class ToolSettings:
    """`tools`, or an agent's. An agent's own policy comes on top of the one for all (`app/tools/policy.py`);
    its other settings have those for all merged in, key by key.
    """

    profile: Profile | None = None
    allow: tuple[str, ...] = ()
    also_allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    by_provider: Mapping[str, ToolPolicy] = field(default_factory=dict)
    exec: ExecSettings = ExecSettings()
    fs: FsSettings = FsSettings()
    web: WebSettings = WebSettings()
    sessions: SessionToolsSettings = SessionToolsSettings()
    loop_detection: LoopDetectionSettings = LoopDetectionSettings()
    subagents: SubagentToolsSettings = SubagentToolsSettings()

    @property
    def policy(self) -> ToolPolicy:
        return ToolPolicy(self.profile, self.allow, self.also_allow, self.deny)


@dataclass(frozen=True, slots=True)
class InvokeToolsSettings:
    """`gateway.tools`: what `POST /tools/invoke` may call besides, or not."""

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SubagentSettings:
    """Bounds of the runs that an agent starts itself. `run_timeout_seconds` 0: the agent's own limit."""

    max_concurrent: int = 8
    max_children_per_agent: int = 5
    max_spawn_depth: int = 5
    run_timeout_seconds: float = 0.0
    archive_after_minutes: float = 60.0
    allow_agents: tuple[str, ...] = ()
    model: str | None = None


@dataclass(frozen=True, slots=True)
class McpToolFilter:
    included: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class McpServerSettings:
    """One MCP server: a `command` to run, or a `url`. `transport` None: by which of them is there.

    `proxy` and `trusted_ca_files` are those of the environment, for a `url`.
    """

    enabled: bool = True
    command: str | None = None
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    cwd: Path | None = None
    url: str | None = field(default=None, repr=False)
    transport: McpTransport | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    connection_timeout_seconds: float = 30.0
    request_timeout_seconds: float = 60.0
    supports_parallel_tool_calls: bool = False
    ssl_verify: bool = True
    tool_filter: McpToolFilter = McpToolFilter()
    proxy: str | None = field(default=None, repr=False)
    trusted_ca_files: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class McpSettings:
    servers: Mapping[str, McpServerSettings] = field(default_factory=dict)
