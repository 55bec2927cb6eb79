"""What the tools of MCP servers are called: `<server>__<tool>`, in names that every model accepts. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from hashlib import sha256
from itertools import count

from app.config.tool_settings import McpToolFilter
from app.tools.catalogue import MCP_SEPARATOR

MAX_NAME = 64  # characters of a tool's whole name, as OpenAI's API has it
MAX_PREFIX = 30  # of the server's part
_HASH = 6

_UNSAFE = re.compile(r"[^A-Za-z0-9_-]")


def prefixes(servers: Iterable[str]) -> dict[str, str]:
    """Server -> the part of its tools' names before the separator. Equal ones get a number.

    A prefix begins with a letter, and has no separator of its own, so that `docs__*` in a policy means the
    tools of `docs` and of nobody else.
    """
    found: dict[str, str] = {}
    taken: set[str] = set()
    for server in servers:
        plain = _prefix(server)
        numbered = (plain if n == 1 else f"{plain[: MAX_PREFIX - len(str(n)) - 1]}-{n}" for n in count(1))
        found[server] = next(one for one in numbered if one.lower() not in taken)
        taken.add(found[server].lower())
    return found


def _prefix(server: str) -> str:
    safe = _UNSAFE.sub("-", server.strip())
    safe = re.sub(r"_{2,}", "_", safe)
    if not safe[:1].isascii() or not safe[:1].isalpha():
        safe = f"mcp-{safe}"
    return re.sub(r"_$", "-", safe[:MAX_PREFIX])


def tool_names(prefix: str, tools: Iterable[str]) -> dict[str, str]:
    """The server's name of a tool -> the model's name of it.

    A name that fits is kept, and no other tool of the server can take it: what a policy says of it holds for
    that one. One that has to be changed, and then is another's, ends with a hash of what it was.
    """
    tools = list(dict.fromkeys(tools))
    fitting = {
        tool: name for tool in tools if (name := _whole(prefix, tool)) == f"{prefix}{MCP_SEPARATOR}{tool}"
    }
    taken: set[str] = set()
    found: dict[str, str] = {}
    for tool in sorted(tools, key=lambda one: one not in fitting):
        name = fitting.get(tool) or _whole(prefix, tool)
        if name.lower() in taken:
            name = _hashed(name, tool)
        if name.lower() not in taken:
            taken.add(name.lower())
            found[tool] = name
    return {tool: found[tool] for tool in tools if tool in found}


def _whole(prefix: str, tool: str) -> str:
    safe = _UNSAFE.sub("-", tool) or "tool"
    name = f"{prefix}{MCP_SEPARATOR}{safe}"
    return name if len(name) <= MAX_NAME else _hashed(name, tool)


def _hashed(name: str, tool: str) -> str:
    ending = sha256(tool.encode("utf-8", "replace")).hexdigest()[:_HASH]
    return f"{name[: MAX_NAME - _HASH - 1]}-{ending}"


class NameFilter:
    """`toolFilter`: which tools are offered, by the server's own names; `*` stands for any text."""

    def __init__(self, given: McpToolFilter) -> None:
        self._included = [_pattern(glob) for glob in given.included]
        self._excluded = [_pattern(glob) for glob in given.excluded]

    def passes(self, name: str) -> bool:
        if any(pattern.fullmatch(name) for pattern in self._excluded):
            return False
        return not self._included or any(pattern.fullmatch(name) for pattern in self._included)


def _pattern(glob: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, re.split(r"\*+", glob))), re.DOTALL)


def server_of(prefix_of: Mapping[str, str], name: str) -> str | None:
    """The server that a tool of that name would be of, None if there is none."""
    prefix = name.partition(MCP_SEPARATOR)[0].lower()
    return next((server for server, one in prefix_of.items() if one.lower() == prefix), None)
