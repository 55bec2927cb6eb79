"""Adds the variables of the file's `env` section to the environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.config.source.dotenv import fill
from app.config.source.json5_text import JsonObject
from app.config.source.problems import Problems
from app.config.source.substitute import Substitution

_NOT_VARIABLES = ("vars", "shellEnv")


def with_env_section(environ: Mapping[str, str], section: Any, problems: Problems) -> dict[str, str]:
    """The environment with `env: {NAME: "...", vars: {NAME: "..."}}` for names it does not have.

    `vars` takes precedence over the names beside it.
    """
    if not isinstance(section, JsonObject):
        problems.add(("env",), "must be an object")
        return dict(environ)
    inner = section.get("vars", {})
    if not isinstance(inner, JsonObject | dict):
        problems.add(("env", "vars"), "must be an object")
        inner = {}
    substitution = Substitution(environ, problems)
    named: dict[str, str] = {}
    direct = {key: value for key, value in section.items() if key not in _NOT_VARIABLES}
    for prefix, variables in ((("env",), direct), (("env", "vars"), inner)):
        for name, value in variables.items():
            if isinstance(value, str):
                named[name] = substitution.apply(value, (*prefix, name))
            else:
                problems.add((*prefix, name), "must be text")
    return fill(environ, named)
