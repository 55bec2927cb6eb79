"""Where the configuration and the environment meet: the `env` section, and settings by variable."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.config.source.dotenv import fill
from app.config.source.json5_text import JsonObject, Position
from app.config.source.parsed_file import ParsedFile
from app.config.source.paths import IN_ENVIRONMENT, openclaw_env
from app.config.source.problems import KeyPath, Problems
from app.config.source.substitute import Substitution

# Variables that switch something where the file does not say: the key and what they are called without brand.
_SWITCHES: Mapping[str, KeyPath] = {
    "CHAT_COMPLETIONS": ("gateway", "http", "endpoints", "chatCompletions", "enabled"),
    "REDIS_SSL_VERIFY": ("redis", "sslVerify"),
}
_WORDS = {
    "1": True,
    "true": True,
    "yes": True,
    "on": True,
    "0": False,
    "false": False,
    "no": False,
    "off": False,
}
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


def in_environment(environ: Mapping[str, str], problems: Problems) -> ParsedFile:
    """The configuration that the variable `OPENCLAW_CONFIG` holds."""
    text = environ[str(IN_ENVIRONMENT)]
    if "{" not in text:
        problems.add_at(
            Position(IN_ENVIRONMENT, 1, 1),
            "must be the configuration itself, { ... }; OPENCLAW_CONFIG_PATH names a file",
        )
        text = "{}"
    return ParsedFile.parse(text, IN_ENVIRONMENT)


def switch_by_environment(tree: JsonObject, environ: Mapping[str, str], problems: Problems) -> None:
    """Add to the file's tree the switches that only the environment sets: `OPENCLAW_CHAT_COMPLETIONS=1`."""
    for name, path in _SWITCHES.items():
        written = (openclaw_env(environ, name) or "").strip().lower()
        if written in _WORDS:
            _set_default(tree, path, _WORDS[written])
        elif written:
            problems.add_at("environment", f"OPENCLAW_{name}: must be 1 or 0")


def _set_default(tree: JsonObject, path: KeyPath, value: bool) -> None:
    *sections, last = path
    for step in sections:
        tree = tree.setdefault(str(step), JsonObject({}, {}))
        if not isinstance(tree, JsonObject):
            return  # a mistake, which is reported when the section is loaded
    tree.setdefault(str(last), value)
