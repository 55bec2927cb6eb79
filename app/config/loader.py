"""Loads `Settings` from the operator's file and the environment, or reports every mistake in them at once.

Used by the processes that start the gateway and by the watch. Reads files; never changes `os.environ`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from marshmallow import ValidationError

from app.config.bubblewrap import sandbox_notes
from app.config.build.agents import AgentBuilder
from app.config.build.gateway import GatewayBuilder, from_environ
from app.config.build.mcp import build_mcp
from app.config.build.providers import ProviderBuilder
from app.config.build.tools import build_tools
from app.config.schema import checks
from app.config.schema.root import RootSchema
from app.config.schema.unknown_keys import UnknownKeys
from app.config.settings import GatewaySettings, Settings
from app.config.shown.secrets import is_secret
from app.config.source.dotenv import fill_from_dotenv
from app.config.source.environment import in_environment, switch_by_environment, with_env_section
from app.config.source.includes import TreeReader
from app.config.source.json5_text import JsonObject
from app.config.source.parsed_file import ParsedFile
from app.config.source.paths import IN_ENVIRONMENT, ConfigPaths, expand, find_paths
from app.config.source.problems import Problems
from app.config.source.substitute import Substitution


def load_settings(
    environ: Mapping[str, str], cwd: Path | None = None, parsed: ParsedFile | None = None
) -> Settings:
    """The settings, complete and checked.

    `parsed` is taken for the configuration file, whatever is on the disk. Raises ConfigError, which names
    the file and lists every mistake.
    """
    readable = _readable(environ)
    if parsed:
        readable |= {"OPENCLAW_CONFIG_PATH": str(parsed.file), str(IN_ENVIRONMENT): ""}
    return _Loading(readable, (cwd or Path.cwd()).absolute(), parsed).run()


def _readable(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment, with values that are not UTF-8 read as Latin-1: no text may have lone surrogates."""
    return {name: _as_text(value) for name, value in environ.items()}


def _as_text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-8", "surrogateescape").decode("latin-1")
    return value


@dataclass(slots=True)
class _Loading:
    """One load, from the search for the file to the settings."""

    environ: dict[str, str]
    cwd: Path
    parsed: ParsedFile | None
    problems: Problems = field(default_factory=Problems)
    sources: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)  # sections with mistakes

    def run(self) -> Settings:
        self._dotenv(self.cwd / ".env")
        paths = find_paths(self.environ, self.cwd)
        has_file = paths.config not in (None, IN_ENVIRONMENT)
        self._dotenv((paths.config.parent if paths.config and has_file else paths.state_dir) / ".env")
        unknown_keys = UnknownKeys(self.problems)
        loaded = self._loaded(self._tree(paths), unknown_keys)
        settings = self._settings(loaded, paths)
        self.problems.raise_any(self._all_sources())
        notes = (*self.notes, *unknown_keys.notes(), *sandbox_notes(settings["agents"]))
        return Settings(**settings, notes=notes, sources=self._all_sources())

    def _dotenv(self, file: Path) -> None:
        if file in self.sources:
            return
        self.sources.append(file)
        self.environ, note = fill_from_dotenv(self.environ, file)
        if note:
            self.notes.append(note)

    def _tree(self, paths: ConfigPaths) -> JsonObject:
        self.sources += paths.candidates
        if paths.config is None:
            self.notes.append(f"no configuration file at {paths.candidates[0]}: built-in defaults")
            return JsonObject({}, {})
        self.problems.file = str(paths.config)
        if paths.config == IN_ENVIRONMENT:
            self.parsed = in_environment(self.environ, self.problems)
        reader = TreeReader(self.problems, self.parsed)
        tree = reader.read(paths.config)
        self.sources += reader.files
        # Keys missing from a file that cannot be read are not mistakes of their own: stop here.
        self.problems.raise_any(self._all_sources())
        return tree

    def _loaded(self, tree: JsonObject, unknown_keys: UnknownKeys) -> dict[str, Any]:
        schema = RootSchema()
        self.problems.tree = tree
        kept = unknown_keys.remove(schema, tree)
        self.problems.tree = kept
        self.environ = with_env_section(self.environ, kept.pop("env", JsonObject({}, {})), self.problems)
        substituted = Substitution(self.environ, self.problems, is_secret).apply(kept)
        switch_by_environment(substituted, self.environ, self.problems)
        loaded: dict[str, Any] = {}
        for name, section in schema.fields.items():
            if section.data_key in substituted:
                self._load_section(loaded, name, section, substituted[section.data_key])
        return loaded

    def _load_section(self, loaded: dict[str, Any], name: str, section: Any, value: Any) -> None:
        try:
            values = section.deserialize(value)
        except ValidationError as error:
            self.problems.add_messages(error.messages, (section.data_key,))
            self.broken.add(name)
        else:
            loaded.update(values if section.group else {name: values})

    def _settings(self, loaded: Mapping[str, Any], paths: ConfigPaths) -> dict[str, Any]:
        expand = self._expander(paths)
        agents = AgentBuilder(
            loaded.get("agents", {}), loaded.get("tools", {}), paths.state_dir, expand, self.problems
        )
        providers = ProviderBuilder(loaded.get("models", {}), self.environ, self.problems, expand)
        built = providers.build()
        # With mistakes in `models`, a provider may seem to be missing only because its entry is invalid.
        for path, model in () if "models" in self.broken else agents.paths_of_models():
            if what := providers.for_model(model, built):
                self.problems.add(path, f"`{model}` {what}")
        self.notes += providers.notes
        own = {field.name for field in fields(Settings)}
        return {
            **{name: value for name, value in loaded.items() if name in own},
            "state_dir": paths.state_dir,
            "config_path": paths.config,
            "gateway": self._gateway(loaded, paths.state_dir),
            "agents": agents.build(),
            "providers": built,
            "storage_url": self._storage_url(loaded, paths),
            "redis_url": self._url("REDIS_URL", checks.redis_url) or loaded.get("redis_url"),
            "tools": build_tools(loaded.get("tools", {})),
            "mcp": build_mcp(loaded.get("mcp", {}).get("servers", {}), self.environ, expand, self.problems),
        }

    def _gateway(self, loaded: Mapping[str, Any], state_dir: Path) -> GatewaySettings:
        return GatewayBuilder(loaded.get("gateway", {}), self.environ, self.problems, state_dir).build()

    def _expander(self, paths: ConfigPaths) -> Any:
        return lambda written: expand(written, paths.home, self.cwd)

    def _storage_url(self, loaded: Mapping[str, Any], paths: ConfigPaths) -> str:
        url = self._url("DATABASE_URL", checks.storage_url) or loaded.get("storage_url")
        if not url:
            return f"sqlite:///{paths.state_dir / 'gateway.sqlite'}"
        url = str(url).replace("sqlite:///~/", f"sqlite:///{paths.home}/", 1)
        return checks.with_tls(url) if self.environ.get("DYNO") else url

    def _url(self, name: str, check: Any) -> Any:
        return from_environ(name, self.environ.get(name, "").strip(), check, self.problems)

    def _all_sources(self) -> tuple[Path, ...]:
        return tuple(dict.fromkeys(self.sources))
