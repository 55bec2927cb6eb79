"""The folder that a command runs in."""

from __future__ import annotations

from pathlib import Path

from app.tools.base import RunContext, ToolBlocked, ToolError


def resolve_workdir(run: RunContext, workdir: str | None) -> Path:
    """The agent's workspace, made if it is missing, or the folder that the call names; without links.

    Raises ToolError: it is outside the workspace, and `tools.fs.workspaceOnly` holds, or it is no folder.
    """
    workspace = run.workspace
    try:
        workspace.mkdir(mode=0o700, parents=True, exist_ok=True)
        root = workspace.resolve()
        folder = (root / Path(workdir).expanduser() if workdir else root).resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise ToolError(f"The folder to run in cannot be used: {error}") from None
    if run.agent.tools.fs.workspace_only and not folder.is_relative_to(root):
        raise ToolBlocked(f"workdir {workdir} is outside the workspace {root}. Run the command inside it.")
    if not folder.is_dir():
        raise ToolError(f"workdir {folder} is not a folder.")
    return folder
