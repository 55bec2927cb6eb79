"""The approvals document: what may run without asking, as operators edit it (docs/approvals.md#the-document).

There is one, in the database. Its keys are OpenClaw's; a key that is not known here is dropped. Pure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from app.config.tool_settings import ExecAsk, ExecSecurity
from app.errors import InvalidRequest
from app.ids import new_uuid
from app.tools.approvals.arg_pattern import compiled

MAX_ENTRIES = 1000  # of one agent's allowlist
MAX_PATTERN = 1024  # characters
MAX_BYTES = 1024 * 1024
EVERY_AGENT = "*"

AskFallback = Literal["deny", "allowlist", "full"]


class _Part(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    pass


class AllowlistEntry(_Part, frozen=True):
    """A program, as a glob on its resolved path or as a bare name. `arg_pattern` is a regular expression that
    has to be found in its arguments, joined by blanks.

    One that an `allow-always` has made (`source`) allows the command `argv`, alone and in the directory
    `cwd`, and nothing else.
    """

    pattern: str
    id: str | None = None
    arg_pattern: str | None = None
    source: str | None = None
    argv: tuple[str, ...] = ()
    cwd: str | None = None
    command_text: str | None = None
    last_used_at: float | None = None
    last_used_command: str | None = None
    last_resolved_path: str | None = None

    @property
    def is_grant(self) -> bool:
        """Whether somebody has answered an approval with `allow-always`."""
        return self.source == "allow-always"


class McpToolEntry(_Part, frozen=True):
    """A tool of an MCP server that may be called without asking."""

    server: str
    tool: str
    source: str | None = None
    added_at: float | None = None
    last_used_at: float | None = None


class Policy(_Part, frozen=True):
    """What is not set is as the configuration says."""

    security: ExecSecurity | None = None
    ask: ExecAsk | None = None
    ask_fallback: AskFallback | None = None
    auto_allow_skills: bool | None = None


class AgentApprovals(Policy, frozen=True):
    allowlist: tuple[AllowlistEntry, ...] = ()
    mcp_tools: tuple[McpToolEntry, ...] = ()


class ApprovalsDocument(_Part, frozen=True, omit_defaults=False):
    """`agents` by their ids; `*` is every agent."""

    version: Literal[1] = 1
    defaults: Policy = Policy()
    agents: dict[str, AgentApprovals] = {}

    def policy(self, agent_id: str) -> Policy:
        """The agent's own, with what it does not set from those of every agent and the defaults."""
        layers: list[Policy] = [self.agents[one] for one in (agent_id, EVERY_AGENT) if one in self.agents]
        given = {}
        for name in Policy.__struct_fields__:
            values = (getattr(layer, name) for layer in (*layers, self.defaults))
            given[name] = next((value for value in values if value is not None), None)
        return Policy(**given)

    def allowlist(self, agent_id: str) -> Sequence[AllowlistEntry]:
        """The agent's entries and those of every agent."""
        return [
            entry
            for one in dict.fromkeys((agent_id, EVERY_AGENT))
            if one in self.agents
            for entry in self.agents[one].allowlist
        ]

    def with_entry(self, agent_id: str, entry: AllowlistEntry) -> ApprovalsDocument:
        """The document with one more entry of that agent, which gets an id."""
        agent = self.agents.get(agent_id, AgentApprovals())
        named = replace(entry, id=entry.id or new_uuid())
        changed = replace(agent, allowlist=(*agent.allowlist[-(MAX_ENTRIES - 1) :], named))
        return replace(self, agents={**self.agents, agent_id: changed})

    def without_entry(self, entry_id: str) -> ApprovalsDocument:
        """The document without the entry of that id, whosever it is."""
        agents = {
            agent_id: replace(agent, allowlist=tuple(one for one in agent.allowlist if one.id != entry_id))
            for agent_id, agent in self.agents.items()
        }
        return replace(self, agents=agents)


EMPTY = ApprovalsDocument()


def load_document(value: Any) -> ApprovalsDocument:
    """The document in a JSON value; entries without an id get one. Raises InvalidRequest."""
    try:
        document = msgspec.convert(value, ApprovalsDocument)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"invalid approvals document: {error}") from error
    if len(msgspec.json.encode(document)) > MAX_BYTES:
        raise InvalidRequest(f"The approvals document is larger than {MAX_BYTES} bytes.")
    for agent_id, agent in document.agents.items():
        if len(agent.allowlist) > MAX_ENTRIES:
            raise InvalidRequest(f"The allowlist of {agent_id!r} has more than {MAX_ENTRIES} entries.")
        for entry in agent.allowlist:
            _check_entry(agent_id, entry)
    agents = {agent_id: _with_ids(agent) for agent_id, agent in document.agents.items()}
    return replace(document, agents=agents)


def read_document(content: str) -> ApprovalsDocument:
    """The document as it is stored. Raises InvalidRequest."""
    try:
        return msgspec.json.decode(content, type=ApprovalsDocument)
    except msgspec.DecodeError as error:
        raise InvalidRequest(f"The stored approvals document is damaged: {error}") from error


def dump_document(document: ApprovalsDocument) -> dict[str, Any]:
    """The document as a JSON value."""
    value: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(document))
    return value


def hash_of(document: ApprovalsDocument) -> str:
    """Another text for every other document."""
    return hashlib.sha256(msgspec.json.encode(document, order="deterministic")).hexdigest()


def _check_entry(agent_id: str, entry: AllowlistEntry) -> None:
    for text in (entry.pattern, entry.arg_pattern or ""):
        if len(text) > MAX_PATTERN:
            raise InvalidRequest(f"A pattern of {agent_id!r} is longer than {MAX_PATTERN} characters.")
    if entry.arg_pattern is not None:
        compiled(entry.arg_pattern)
    if not entry.pattern.strip():
        raise InvalidRequest(f"An entry of {agent_id!r} has an empty pattern.")


def _with_ids(agent: AgentApprovals) -> AgentApprovals:
    entries = tuple(one if one.id else replace(one, id=new_uuid()) for one in agent.allowlist)
    return replace(agent, allowlist=entries)
