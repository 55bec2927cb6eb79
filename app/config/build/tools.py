"""Builds `ToolSettings` from the loaded sections: an agent's keys over those for all agents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.config.tool_settings import (
    ExecSettings,
    FsSettings,
    LoopDetectionSettings,
    SessionToolsSettings,
    SubagentToolsSettings,
    ToolSettings,
    WebFetchSettings,
    WebSearchSettings,
    WebSettings,
)

_POLICY = ("profile", "allow", "also_allow", "deny", "by_provider")
_SECTIONS = {
    "fs": FsSettings,
    "sessions": SessionToolsSettings,
    "loop_detection": LoopDetectionSettings,
    "subagents": SubagentToolsSettings,
}

Given = Mapping[str, Any]


def build_tools(for_all: Given, own: Given | None = None) -> ToolSettings:
    """The settings of `tools`; with `own`, those of an agent: its own policy, everything else merged."""
    policy = for_all if own is None else own
    layers = (for_all, own or {})
    sections = {name: makes(**_merged(name, layers)) for name, makes in _SECTIONS.items()}
    web = [layer.get("web", {}) for layer in layers]
    return ToolSettings(
        **{key: policy[key] for key in _POLICY if key in policy},
        **sections,
        exec=_exec([layer.get("exec", {}) for layer in layers]),
        web=WebSettings(
            WebFetchSettings(**_merged("fetch", web)), WebSearchSettings(**_merged("search", web))
        ),
    )


def _merged(name: str, layers: Any) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for layer in layers:
        merged |= layer.get(name, {})
    return merged


def _exec(layers: list[Given]) -> ExecSettings:
    """`mode`, or the older pair, of the innermost layer that has either; all else merged."""
    merged: dict[str, Any] = {}
    for layer in layers:
        if layer.keys() & {"mode", "security", "ask"}:
            merged = {key: value for key, value in merged.items() if key not in ("mode", "security", "ask")}
        merged |= layer
    return ExecSettings(**merged)
