"""`tools`: which tools agents may use, and how these behave. An agent's own `tools` have the same keys."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from marshmallow import ValidationError, validates_schema

from app.config.schema import checks, openclaw
from app.config.schema.fields import Boolean, Enum, Float, Integer, Milliseconds, Secret, String, StringList
from app.config.schema.nesting import MappingField, Nested
from app.config.schema.section import Section
from app.config.tool_settings import (
    ExecAsk,
    ExecSecurity,
    ExecSettings,
    FetchAddresses,
    FsSettings,
    InvokeToolsSettings,
    LoopDetectionSettings,
    Profile,
    Sandbox,
    SearchProvider,
    SessionToolsSettings,
    SubagentToolsSettings,
    ToolPolicy,
    ToolSettings,
    Visibility,
    WebFetchSettings,
    WebSearchSettings,
    WebSettings,
)


class ToolPolicySchema(Section):
    makes: ClassVar[Any] = ToolPolicy
    profile = Enum("The set of tools to start from. Not set: all built-in tools.", Profile)
    allow = StringList("Allow only these tools, globs (`sessions_*`) and groups (`group:fs`).")
    also_allow = StringList("Allow these in addition to the profile's.")
    deny = StringList("Never allow these; takes precedence over everything else.")

    @validates_schema(skip_on_field_errors=True)
    def _one_kind_of_allow(self, data: dict[str, Any], **_: Any) -> None:
        if data.get("allow") and data.get("also_allow"):
            raise ValidationError("cannot be used with `allow`: put all names into one of them", "alsoAllow")


class ExecSchema(Section):
    """Loads into a dict of the keys that are given, as do the sections below: an agent's are merged over."""

    defaults = ExecSettings
    unused = openclaw.EXEC
    mode = Enum(
        "Which commands may run: none, those on the allowlist, these and what somebody approves, or all. "
        "Not set: `ask`.",
        Literal["deny", "allowlist", "ask", "full"],
        aliases={"auto": "ask"},
    )
    security = Enum("The older form of `mode`, together with `ask`.", ExecSecurity)
    ask = Enum("Whether a command that is not on the allowlist is asked about.", ExecAsk)
    timeout_seconds = Float("How long a command may run unless the call says otherwise.", low=0.1, high=86400)
    background_seconds = Milliseconds(
        "How long a call waits for its command before it goes on in the background.",
        low=0,
        data_key="backgroundMs",
    )
    cleanup_seconds = Milliseconds(
        "How long an ended background command is remembered.", low=1000, data_key="cleanupMs"
    )
    approval_timeout_seconds = Milliseconds(
        "How long an approval may be waited for.", low=1, data_key="approvalTimeoutMs"
    )
    path_prepend = StringList("Folders to put in front of `PATH`.")
    inherit_env = StringList(
        "Further variables of the gateway's environment that commands get; never those of secrets."
    )
    safe_bins = StringList("Programs that may run without an entry on the allowlist, on their input alone.")
    safe_bin_trusted_dirs = StringList("Folders in which these programs must lie.")
    sandbox = Enum(
        "Whether commands run inside bubblewrap: where the machine has it, always, or never.", Sandbox
    )
    sandbox_network = Boolean("Whether commands inside the sandbox may use the network.")

    @validates_schema(skip_on_field_errors=True)
    def _mode_or_pair(self, data: dict[str, Any], **_: Any) -> None:
        if "mode" in data and ("security" in data or "ask" in data):
            raise ValidationError("cannot be used with `security` and `ask`, which say the same", "mode")


class FsSchema(Section):
    defaults = FsSettings
    workspace_only = Boolean("Whether tools may use files of the agent's workspace alone.")
    write_prompt_files = Boolean(
        "Whether `write`, `edit` and `apply_patch` may change the files that go into the system prompt."
    )


class FetchAddressesSchema(Section):
    makes = FetchAddresses
    unused = openclaw.SSRF_POLICY
    dangerously_allow_private_network = Boolean("Whether private addresses may be reached.")
    allowed_hostnames = StringList("Hosts that may be reached whatever their address is.", check=checks.host)
    blocked_hostnames = StringList("Hosts that may not be reached.", check=checks.host)


class WebFetchSchema(Section):
    defaults = WebFetchSettings
    unused = openclaw.WEB_FETCH
    enabled = Boolean("Whether there is `web_fetch`.")
    max_chars = Integer("The most characters of a page that the model gets.", low=100, high=1_000_000)
    max_response_bytes = Integer("The largest page that is read.", low=32_000, high=10_000_000)
    timeout_seconds = Float("The longest that a fetch may take.", low=0.1, high=600)
    cache_ttl_minutes = Float("How long a page is remembered; 0 for not at all.", low=0)
    max_redirects = Integer("Redirects to follow.", low=0, high=20)
    readability = Boolean("Whether menus and the like are left out.")
    user_agent = String("The `User-Agent` to send.", check=checks.header_value)
    ssrf_policy = Nested(FetchAddressesSchema)


class WebSearchSchema(Section):
    defaults = WebSearchSettings
    unused = openclaw.WEB_SEARCH
    enabled = Boolean("Whether there is `web_search`, if a provider is set.")
    provider = Enum("Who searches. Not set: there is no `web_search`.", SearchProvider)
    api_key = Secret("The provider's key (Brave).")
    base_url = String("The provider's base URL (SearXNG).", check=checks.base_url)
    max_results = Integer("Results unless the call says otherwise.", low=1, high=20)
    timeout_seconds = Float("The longest that a search may take.", low=0.1, high=600)
    cache_ttl_minutes = Float("How long results are remembered; 0 for not at all.", low=0)


class WebSchema(Section):
    defaults = WebSettings
    fetch = Nested(WebFetchSchema)
    search = Nested(WebSearchSchema)


class SessionToolsSchema(Section):
    defaults = SessionToolsSettings
    visibility = Enum(
        "Which sessions the `sessions_*` tools see: their own, also those it started, the agent's, or all; "
        "never those of another owner.",
        Visibility,
    )


class LoopDetectionSchema(Section):
    defaults = LoopDetectionSettings
    unused = openclaw.LOOP_DETECTION
    enabled = Boolean("Whether a run is stopped that repeats its calls without getting anywhere.")


class SubagentToolsSchema(Section):
    defaults = SubagentToolsSettings
    tools = Nested(ToolPolicySchema)


class ToolsSchema(ToolPolicySchema):
    """Loads into a dict of the keys that are given (`app/config/build/tools.py`)."""

    makes = dict
    defaults = ToolSettings
    unused = openclaw.TOOLS
    by_provider = MappingField(
        "By `provider` or `provider/model`, what is allowed beneath that model.", Nested(ToolPolicySchema)
    )
    exec = Nested(ExecSchema)
    fs = Nested(FsSchema)
    web = Nested(WebSchema)
    sessions = Nested(SessionToolsSchema)
    loop_detection = Nested(LoopDetectionSchema)
    subagents = Nested(SubagentToolsSchema)


class InvokeToolsSchema(Section):
    makes = InvokeToolsSettings
    allow = StringList("Tools that `POST /tools/invoke` may call although it is refused by default.")
    deny = StringList("Tools that it may never call.")
