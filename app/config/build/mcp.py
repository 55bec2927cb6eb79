"""Builds `McpSettings` from the loaded section: one name for each thing, absolute paths, the proxies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from marshmallow import ValidationError

from app.config.build.certificates import ca_files_from
from app.config.build.proxies import proxy_for
from app.config.source.problems import Problems
from app.config.tool_settings import McpServerSettings, McpSettings


def build_mcp(
    servers: Mapping[str, Mapping[str, Any]],
    environ: Mapping[str, str],
    expand: Callable[[str], Path],
    problems: Problems,
) -> McpSettings:
    """The servers with what the environment says of proxies and certificate authorities. Mistakes in that are
    added to `problems`; `expand` makes a path absolute.
    """
    if not servers:
        return McpSettings()
    ca_files, _ = ca_files_from(environ)  # what is wrong with them is noted once, with the providers
    built = {}
    for name, loaded in servers.items():
        given = dict(loaded)
        for one, other in (("cwd", "working_directory"), ("transport", "type")):
            if (value := given.pop(other, None)) is not None:
                given[one] = value
        if cwd := given.get("cwd"):
            given["cwd"] = expand(cwd)
        if url := given.get("url"):
            given |= {"proxy": _proxy(url, environ, problems), "trusted_ca_files": ca_files}
        built[name] = McpServerSettings(**given)
    return McpSettings(built)


def _proxy(url: str, environ: Mapping[str, str], problems: Problems) -> str | None:
    try:
        return proxy_for(url, environ)
    except ValidationError as error:
        problems.add_at("environment", str(error.messages[0]))
        return None
