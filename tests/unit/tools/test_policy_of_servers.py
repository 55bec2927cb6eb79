"""Whether policies deny all tools of a server, which is then not started."""

from __future__ import annotations

from typing import Any

import pytest

from app.config.tool_settings import ToolSettings
from app.tools.policy import ToolRules


@pytest.mark.parametrize(
    ("policy", "why"),
    [
        ({}, None),
        ({"deny": ("docs__*",)}, "tools.deny"),
        ({"deny": ("DOCS__*",)}, "tools.deny"),
        ({"deny": ("bundle-mcp",)}, "tools.deny"),
        ({"deny": ("group:plugins",)}, "tools.deny"),
        ({"deny": ("*",)}, "tools.deny"),
        ({"deny": ("docs__search",)}, None),
        ({"deny": ("other__*", "docs__a*")}, None),
        ({"allow": ("read",)}, "tools.allow"),
        ({"allow": ("docs__search",)}, None),
        ({"allow": ("docs__s*",)}, None),
        ({"allow": ("d*",)}, None),
        ({"allow": ("*",)}, None),
        ({"allow": ("bundle-mcp",)}, None),
        ({"allow": ("docs2__*", "other__*")}, "tools.allow"),
        ({"profile": "minimal"}, "tools.profile (minimal)"),
        ({"profile": "minimal", "also_allow": ("docs__search",)}, None),
        ({"profile": "minimal", "also_allow": ("other__x",)}, "tools.profile (minimal)"),
        ({"profile": "coding"}, None),
        ({"profile": "messaging"}, None),
        ({"profile": "full"}, None),
    ],
)
def test_a_server_is_denied_as_a_whole(policy: dict[str, Any], why: str | None):
    rules = ToolRules(ToolSettings(**policy), ToolSettings())
    assert rules.why_none("docs__") == why
