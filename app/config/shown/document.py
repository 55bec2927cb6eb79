"""Writes `docs/config.md` from the schema: `python -m app.config.shown.document > docs/config.md`."""

from __future__ import annotations

import dataclasses
import json
import sys
import textwrap
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from app.config.build.catalogue import CATALOGUE
from app.config.schema import openclaw
from app.config.schema.fields import REDACTED, Setting
from app.config.schema.root import RootSchema
from app.config.schema.walk import ANY_INDEX, SchemaKey, SchemaPath, walk

_INTRO = f"""\
# Configuration

<!-- Written by `python -m app.config.shown.document > docs/config.md` from the schema. Change it there. -->

One JSON5 file in OpenClaw's own format: comments and trailing commas are fine, keys given twice are not.
`python -m app config check` checks it, `python -m app config show` prints the settings in force.
Two examples: `examples/quickstart.json5` and `examples/openclaw.json5`.

## Which file

The first of:

1. `OPENCLAW_CONFIG`, which is no name but the text itself: for containers and dynos, where there is no file
2. `OPENCLAW_CONFIG_PATH`, which has to exist
3. `openclaw.json` in the state directory: `OPENCLAW_STATE_DIR`, else `~/.openclaw`
4. `CLAWDBOT_CONFIG_PATH`, else `clawdbot.json` in `CLAWDBOT_STATE_DIR` or `~/.clawdbot`
5. none: built-in defaults

`~` is the home directory. Of variables with both names, `OPENCLAW_…` takes precedence over `CLAWDBOT_…`.

## Several files

`$include: "agents.json5"` includes another file, `$include: ["a.json5", "b.json5"]` several, wherever an
object is allowed. Names are relative to the including file and may not lead out of its folder, also not
through a symbolic link; an absolute path may. Objects merge key by key, lists are joined, and of other values
the later one is used; the keys beside `$include` come last. Included files may include others, ten levels
deep, without circles.

## Environment

* `${{NAME}}` inside a string is replaced by that environment variable (upper-case names); one that is not set
  is a mistake. `$${{NAME}}` is the literal text. A secret may also be `{{source: "env", id: "NAME"}}`.
* Variables that the environment does not have are read from `.env` in the working directory, then from `.env`
  beside the file, then from `env: {{vars: {{NAME: "…"}}}}` or `env: {{NAME: "…"}}`. The environment always
  takes precedence.
* `PORT` (all interfaces, that port), `DATABASE_URL` and `REDIS_URL` take precedence over the file; the
  secrets in the file take precedence over `OPENCLAW_GATEWAY_TOKEN` and `OPENCLAW_GATEWAY_PASSWORD`. Where
  neither sets one, the token is what `gateway-token` in the state directory holds: `bin/serve` makes it.
* `OPENCLAW_CHAT_COMPLETIONS=1` switches `/v1/chat/completions` on, `=0` off, where the file does not say.
* `OPENCLAW_REDIS_SSL_VERIFY=0` takes any certificate of the Redis server, as Heroku's needs it.

## Mistakes

Everything is checked before anything starts, and all mistakes are reported at once: file, line and column,
key, what is wrong and what would be right. Sections and keys of OpenClaw that this gateway does not use are
accepted and named once in the log; any other unknown key is a mistake.

While the gateway runs, a changed file is loaded within two seconds, and no stream is interrupted. If it has
mistakes, the last valid settings stay in force and the log says why. Changes of port, bind and the two URLs
need a restart.

Secrets are never shown: `config show` writes `{REDACTED}` in their place.

Clients of the Gateway protocol may change the file (`config.set`, `config.patch`), only to a valid one, and
either the whole change is written or none of it. They see `{REDACTED}` in place of secrets;
sending that back keeps the secret. `config.patch` writes the file as plain JSON, without its comments;
`config.set` keeps them.
"""

_MODELS = """\
## Providers

A provider whose first variable, its key, is set can be used without an entry. The others, of which the first
that is set counts, replace its base URL, as they do in the provider's own package: the paths that those
packages add (`/v1`, `/openai/v1`, `/v1beta/openai`) are added unless they are there. An entry of the same
name under `models.providers` overrides the keys it has.

A model is named `provider/model`, split at the first slash; `openrouter/auto` is sent as it stands. If
no `model` is configured, the default is the first provider of this table whose key is set, else `local`
if it is installed, else `builtin`.
"""

_UNUSED = """\
## Keys of OpenClaw that are not used

Accepted, and named once in the log. Four of them could be expected to have an effect:
`session.maintenance.ephemeralAfter` (a session of a stateless call is never stored), `cost.cacheRead` and
`cost.cacheWrite` (how many tokens of a run came from a provider's cache is not stored, so all prompt tokens
cost `cost.input`), and `gateway.controlUi.enabled` (no web page is served).
"""


class Row(NamedTuple):
    key: str
    kind: str
    default: str
    doc: str


def document() -> str:
    """The whole page as Markdown."""
    rows = [Row("key", "type", "default", "meaning"), Row("---", "---", "---", "---")]
    rows += _rows()
    return "\n".join((_INTRO, "## Keys\n", _table(rows), "", _MODELS, _table(_catalogue()), "", _unused()))


def _table(rows: list[Row]) -> str:
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)


def _rows() -> Iterator[Row]:
    for key in walk(RootSchema(), _is_documented_elsewhere):
        if key.kind:
            yield Row(f"`{_written(key.path)}`", key.kind, _default(key), key.doc)


def _is_documented_elsewhere(key: SchemaKey) -> bool:
    """An agent has the keys of `agents.defaults` and a few more: only those get rows of their own."""
    other = key.section.documented_in
    return other is not None and key.name in other().fields


def _written(path: SchemaPath) -> str:
    return ".".join(path).replace(f".{ANY_INDEX}", ANY_INDEX)


def _default(key: SchemaKey) -> str:
    if key.field.required:
        return "required"
    if key.settings is None or not isinstance(key.field, Setting):
        return ""
    found = {known.name: known.default for known in dataclasses.fields(key.settings)}.get(key.name)
    if found is None or found is dataclasses.MISSING or found in ("", ()):
        return ""
    return f"`{json.dumps(key.field.dump(found))}`"


def _catalogue() -> list[Row]:
    rows = [Row("provider", "variables", "base URL", "default model"), Row("---", "---", "---", "---")]
    for entry in CATALOGUE.values():
        variables = [name for name in (entry.variable, *entry.base_variables) if name]
        names = ", ".join(map(_code, variables))
        rows.append(Row(_code(entry.name), names, _code(entry.base_url), _code(entry.default_model)))
    return rows


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _unused() -> str:
    """The sections and keys of OpenClaw that are accepted and not used."""
    lists = [f"Sections: {_code_list(openclaw.SECTIONS)}."]
    for path, names in _unused_keys().items():
        lists.append(f"Keys of `{path}`: {_code_list(names)}.")
    items = (textwrap.fill(f"* {one}", 108, subsequent_indent="  ", break_on_hyphens=False) for one in lists)
    return "\n".join((_UNUSED, *items))


def _unused_keys() -> dict[str, frozenset[str]]:
    """The path of each section -> the names of its keys that are not used, in the schema's order."""
    found: dict[str, frozenset[str]] = {}
    for key in walk(RootSchema(), _is_documented_elsewhere):
        other = key.section.documented_in
        names = key.section.unused - (other.unused if other else frozenset())
        if names and len(key.path) > 1:
            found[_written(key.path[:-1])] = names
    return found


def _code_list(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))


if __name__ == "__main__":
    sys.stdout.write(document() + "\n")
