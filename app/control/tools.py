"""What an operator sees of tools, and calls of one tool without a run (docs/http.md#calling-one-tool)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import orjson

from app.auth.principal import Principal
from app.cancel import Cancel
from app.config.settings import Settings
from app.errors import InvalidRequest, NotFound
from app.ids import new_hex, new_uuid
from app.messages import ToolCall
from app.routing.operator import agent_of_key, check_same_agent, find_agent, resolve_session_key
from app.tools.base import RunContext, Tool, ToolOutput
from app.tools.call import StartedCall
from app.tools.catalogue import MCP_SEPARATOR, SECTION_OF, is_mcp
from app.tools.policy import Names, in_profile
from app.tools.registry import Selection, ToolRegistry

SURFACE = "invoke"
# They change things, start runs or ask people: a single call may use them only where `gateway.tools.allow`
# says so. OpenClaw's list has further names, of tools that are not built.
NOT_BY_DEFAULT = (
    *("exec", "process", "write", "edit", "apply_patch", "view_image"),
    *("sessions_spawn", "sessions_send", "sessions_yield", "subagents", "ask_user", "progress_card"),
)
PROFILES = ("minimal", "coding", "messaging", "full")


class ToolRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One call: the words of a caller. `action` is an argument of its own, for tools that have one."""

    name: str
    principal: Principal
    source: str
    arguments: Mapping[str, Any] = msgspec.field(default_factory=dict)
    action: str | None = None
    agent_id: str | None = None
    session_key: str | None = None
    idempotency_key: str | None = None
    request_id: str | None = None


class ToolCalls:
    """`settings` gives the present settings, `exists` whether there is a session of that key."""

    def __init__(
        self,
        settings: Callable[[], Settings],
        registry: ToolRegistry,
        exists: Callable[[str], bool],
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._exists = exists

    def invoke(self, wanted: ToolRequest, cancel: Cancel) -> ToolOutput:
        """Call the tool, with the policies of its agent. A failure of the tool is a result with `is_error`.

        Raises InvalidRequest and its kin: UnknownAgent, InvalidSessionKey, an agent that is not the session's
        or has to be named, NotFound (there is no such tool, or it is not allowed); and the error of `cancel`.
        """
        agent_id, key = self._resolve(wanted)
        tool = self._find(wanted, agent_id, cancel)
        if tool is None:
            raise NotFound(f"Tool not available: {wanted.name[:200]}")
        arguments = dict(wanted.arguments)
        if wanted.action is not None and has_parameter(tool, "action"):
            arguments.setdefault("action", wanted.action)
        call_id = f"call_{wanted.idempotency_key or new_hex()}"
        call = ToolCall(call_id, tool.name, orjson.dumps(arguments).decode())
        return StartedCall(tool, call, self._context(wanted, agent_id, key, cancel)).wait()

    def catalog(self, agent_id: str | None) -> dict[str, Any]:
        """All tools there are, in groups, and the profiles. Raises UnknownAgent."""
        agent = find_agent(agent_id, self._settings())
        profiles = [{"id": one, "label": one.capitalize()} for one in PROFILES]
        return {"agentId": agent.id, "profiles": profiles, "groups": _groups(self._registry.builtin)}

    def effective(self, session_key: str, agent_id: str | None, owner: str | None) -> dict[str, Any]:
        """The tools that a run of the session has, in groups. Raises NotFound (no session), UnknownAgent."""
        settings = self._settings()
        key = resolve_session_key(session_key, agent_id, settings, owner)
        if not self._exists(key):
            raise NotFound(f"unknown session key {session_key[:200]!r}")
        agent = find_agent(agent_of_key(key, settings), settings)
        box = self._registry.select(Selection(agent.id, agent.model, "ws"), wait=False)
        profile = agent.tools.profile or settings.tools.profile or "full"
        return {
            "agentId": agent.id,
            "sessionKey": key,
            "profile": profile,
            "groups": _groups([*box.tools.values()]),
            "absent": [{"id": name, "reason": why} for name, why in box.absent.items()],
        }

    def _resolve(self, wanted: ToolRequest) -> tuple[str, str]:
        """The agent whose tool it is, and the session it is called in."""
        settings, owner = self._settings(), wanted.principal.owner
        named, session = (wanted.agent_id or "").strip(), (wanted.session_key or "").strip()
        if not named and not session and len(settings.agents) > 1:
            raise InvalidRequest("tools.invoke needs `agentId` or `sessionKey`: there are several agents.")
        agent = find_agent(named or None, settings)
        if not session:
            return agent.id, resolve_session_key("main", agent.id, settings, owner)
        key = resolve_session_key(session, agent.id, settings, owner)
        of_session = agent_of_key(key, settings)
        check_same_agent(named, of_session, "tools.invoke")
        return find_agent(of_session, settings).id, key

    def _find(self, wanted: ToolRequest, agent_id: str, cancel: Cancel) -> Tool | None:
        lists = self._settings().gateway.tools
        allowed = lists.allow if wanted.principal.owner is None else ()  # only an operator gets more
        is_denied = Names(lists.deny).have(wanted.name.lower())
        if is_denied or (wanted.name in NOT_BY_DEFAULT and not Names(allowed).have(wanted.name)):
            return None
        agent = self._settings().agent(agent_id)
        model = agent.model if agent is not None else None
        return self._registry.find(Selection(agent_id, model, SURFACE), wanted.name, cancel)

    def _context(self, wanted: ToolRequest, agent_id: str, key: str, cancel: Cancel) -> RunContext:
        return RunContext(
            settings=self._settings,
            agent_id=agent_id,
            session_key=key,
            is_stored=False,
            run_id=f"tool_{new_uuid()}",
            source=wanted.source,
            principal=wanted.principal,
            cancel=cancel,
            publish=lambda _: None,
            pause=lambda: lambda: None,
            request_id=wanted.request_id,
        )


def has_parameter(tool: Tool, name: str) -> bool:
    properties = (tool.spec.parameters or {}).get("properties")
    return isinstance(properties, dict) and name in properties


def dump_output(output: ToolOutput) -> dict[str, Any]:
    """A result as OpenClaw writes it: `{content: [{type, …}], details}`."""
    images = [{"type": "image", "data": one.data, "mimeType": one.mime} for one in output.images]
    return {"content": [{"type": "text", "text": output.text}, *images], "details": dict(output.details)}


def _groups(tools: Sequence[Tool]) -> list[dict[str, Any]]:
    groups: dict[str, dict[str, Any]] = {}
    for tool in tools:
        of_server = is_mcp(tool.name)
        name = tool.name.partition(MCP_SEPARATOR)[0] if of_server else SECTION_OF.get(tool.name, "other")
        source = "mcp" if of_server else "core"
        group = {"id": name, "label": name.replace("_", " ").capitalize(), "source": source, "tools": []}
        groups.setdefault(name, group)["tools"].append(
            {
                "id": tool.name,
                "label": tool.name,
                "description": tool.summary,
                "source": source,
                "defaultProfiles": [one for one in PROFILES if in_profile(one, tool.name)],
            }
        )
    return [*groups.values()]
