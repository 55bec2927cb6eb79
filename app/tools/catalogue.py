"""The names of OpenClaw's tools: their sections, profiles and older names. Pure data.

A configuration may name any of them in its policies. Those that are built are in `app/tools/builtin`; the
others are accepted and never offered. Source: openclaw 2026.9.6.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Section = Literal[
    "fs", "runtime", "web", "memory", "sessions", "ui", "messaging", "automation", "nodes", "agents", "media"
]

# Section -> its tools, each with the profiles that have it: m(inimal), c(oding), (me)s(saging).
_SECTIONS: Mapping[Section, Mapping[str, str]] = {
    "fs": {"ls": "c", "read": "c", "write": "c", "edit": "c", "apply_patch": "c"},
    "runtime": {"exec": "c", "process": "c", "code_execution": "c", "secrets": "cs"},
    "web": {"web_search": "c", "web_fetch": "c", "x_search": "c"},
    "memory": {"memory_search": "c", "memory_get": "c"},
    "sessions": {
        "sessions": "cs",
        "sessions_list": "cs",
        "sessions_history": "cs",
        "sessions_search": "cs",
        "conversations_list": "cs",
        "conversations_send": "cs",
        "conversations_turn": "cs",
        "sessions_send": "cs",
        "sessions_spawn": "cs",
        "github_identity_status": "c",
        "github_publish": "c",
        "agents_wait": "c",
        "sessions_yield": "cs",
        "subagents": "cs",
        "session_status": "mcs",
        "suggest_task": "c",
        "dismiss_task": "c",
    },
    "ui": {
        "browser": "",
        "screen": "c",
        "theme": "cs",
        "dashboard": "c",
        "terminal": "c",
        "portal": "c",
        "canvas": "",
        "show_widget": "",
    },
    "messaging": {"message": "s"},
    "automation": {
        "heartbeat_respond": "",
        "automations": "c",
        "gateway": "mcs",
        "plugins": "c",
        "openclaw": "",
    },
    "nodes": {"nodes": "", "computer": "", "mobile_ui": ""},
    "agents": {
        "agents_list": "",
        "get_goal": "c",
        "create_goal": "c",
        "update_goal": "c",
        "progress_card": "c",
        "ask_user": "cs",
        "skill_workshop": "c",
    },
    "media": {
        "view_image": "c",
        "image_generate": "c",
        "music_generate": "c",
        "video_generate": "c",
        "tts": "",
        "pdf": "",
    },
}
_LETTERS = {"minimal": "m", "coding": "c", "messaging": "s"}
_NOT_OPENCLAW = frozenset({"ls", "read", "write", "edit", "apply_patch", "exec", "process", "canvas"})

ALIASES: Mapping[str, str] = {
    "bash": "exec",
    "cron": "automations",
    "update_plan": "progress_card",
    "image": "view_image",
}
KNOWN_TOOLS: frozenset[str] = frozenset(name for tools in _SECTIONS.values() for name in tools)
SECTION_OF: Mapping[str, Section] = {name: section for section, tools in _SECTIONS.items() for name in tools}
GROUPS: Mapping[str, frozenset[str]] = {
    **{f"group:{section}": frozenset(tools) for section, tools in _SECTIONS.items()},
    "group:openclaw": KNOWN_TOOLS - _NOT_OPENCLAW,
}
# Profile -> its tools. `full` is not among them: it is everything.
PROFILES: Mapping[str, frozenset[str]] = {
    profile: frozenset(
        name for tools in _SECTIONS.values() for name, profiles in tools.items() if letter in profiles
    )
    for profile, letter in _LETTERS.items()
}
MCP_PROFILES = frozenset({"coding", "messaging", "full"})  # those that have the tools of MCP servers, too
MCP_GROUPS = frozenset({"group:plugins", "bundle-mcp", "group:mcp"})  # stand for the tools of all MCP servers
MCP_SEPARATOR = "__"  # `<server>__<tool>`

# What a sub-agent never has, and what one that may start no further ones has not either.
NOT_FOR_SUBAGENTS = frozenset(
    {"gateway", "agents_list", "session_status", "progress_card", "automations", "message", "sessions_send"}
    | {"conversations_list", "conversations_send", "conversations_turn", "ask_user"}
)
NOT_AT_FULL_DEPTH = frozenset({"subagents", "sessions_list", "sessions_history", "sessions_spawn"})


def is_mcp(name: str) -> bool:
    """Whether the name is that of an MCP server's tool."""
    return MCP_SEPARATOR in name
