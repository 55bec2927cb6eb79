"""A workspace for tests, and calls of the file tools in it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from app.cancel import Cancel
from app.config.agent_settings import AgentSettings
from app.config.settings import Settings
from app.config.tool_settings import FsSettings, ToolSettings
from app.messages import ToolCall
from app.tools.base import Tool, ToolOutput
from app.tools.call import run_tool
from tests.unit.agents.own_tools import run_context


class AgentFiles:
    """`folder` has the workspace, and the gateway's state beside it."""

    def __init__(self, folder: Path) -> None:
        self.workspace = folder / "workspace"
        self.state = folder / "state"
        self.workspace.mkdir()
        self.state.mkdir()
        self.fs = FsSettings()

    def call(self, tool: Tool, **arguments: Any) -> ToolOutput:
        agent = AgentSettings("main", default=True, workspace=self.workspace, tools=ToolSettings(fs=self.fs))
        settings = Settings(self.state, agents=(agent,), config_path=self.state.parent / "openclaw.json")
        call = ToolCall("call_1", tool.name, orjson.dumps(arguments).decode())
        return run_tool(tool, call, run_context(settings=lambda: settings), Cancel(), lambda _: None)

    def error(self, tool: Tool, **arguments: Any) -> str:
        """The message of a call that must fail."""
        output = self.call(tool, **arguments)
        assert output.is_error, output.text
        message: str = orjson.loads(output.text)["error"]
        return message

    def allow(self, **settings: bool) -> None:
        self.fs = replace(self.fs, **settings)
