"""Shows the operator's file to clients and changes it for them, only to what the gateway could start with.

The watch notices the change as if the operator had made it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.concurrency.native_thread import NativeThread
from app.config.changes import changed_keys, refuse_new_references, refuse_rerouted_secrets
from app.config.replace_file import replace_file
from app.config.schema.nesting import plain
from app.config.settings import Settings
from app.config.shown.mask import MaskedFile
from app.config.shown.redact import redact, secrets_of
from app.config.source.parsed_file import ParsedFile
from app.config.source.paths import IN_ENVIRONMENT
from app.errors import ConfigError, InvalidRequest, ServiceUnavailable

DEFAULT_NAME = "openclaw.json"


@dataclass(frozen=True, slots=True)
class ShownConfig:
    """The file without secrets. `hash` identifies its exact text; None if there is no file.

    `problems` are the mistakes in it; `effective` is what is in force, in the file's own form.
    """

    path: Path
    text: str | None
    tree: Any
    hash: str | None
    problems: tuple[str, ...]
    effective: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ChangedConfig:
    """The file after a change, without secrets. `keys` are the paths of what has changed; none, and the file
    already said so and was not written.
    """

    path: Path
    tree: Any
    hash: str
    keys: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        return bool(self.keys)


class ConfigFile:
    """`settings` gives those in force; `check` takes a text as if it were the configuration, returns what it
    means, and raises ConfigError if the gateway could not run with it. Does one thing at a time, off the
    event loop.
    """

    def __init__(
        self,
        settings: Callable[[], Settings],
        check: Callable[[ParsedFile], Settings],
        native_thread: NativeThread,
    ) -> None:
        self._settings = settings
        self._check = check
        self._native_thread = native_thread

    def show(self) -> ShownConfig:
        """The file as it is now. Raises ServiceUnavailable if it cannot be read."""
        return self._native_thread.call(self._show)

    def replace(self, raw: str, base_hash: str | None) -> ChangedConfig:
        """Replace the whole text by `raw`.

        Raises InvalidRequest if `base_hash` is not the present text's, or with all mistakes in `raw`;
        ServiceUnavailable if the file cannot be written.
        """
        return self._native_thread.call(self._replace, raw, base_hash)

    def patch(self, raw: str, base_hash: str | None) -> ChangedConfig:
        """Apply a merge patch: objects merge, null removes a key, lists of objects with an `id` merge by it.

        The file becomes plain JSON. Raises as `replace` does.
        """
        return self._native_thread.call(self._patch, raw, base_hash)

    def _show(self) -> ShownConfig:
        current = self._current()
        masked = self._masked(current)
        effective = redact(self._settings())
        if current is None:
            return ShownConfig(self._path(), None, masked.tree, None, (), effective)
        digest, problems = self._hash(current.text), self._problems(current)
        return ShownConfig(current.file, masked.text, masked.tree, digest, problems, effective)

    def _replace(self, raw: str, base_hash: str | None) -> ChangedConfig:
        self._refuse_in_environment()
        current = self._current()
        self._refuse_stale(current, base_hash)
        new = _parsed(raw, self._path())
        text = self._masked(current).unmask(raw)
        return self._write(current, new if text == raw else _parsed(text, new.file), new.tree)

    def _patch(self, raw: str, base_hash: str | None) -> ChangedConfig:
        self._refuse_in_environment()
        current = self._current()
        self._refuse_stale(current, base_hash)
        patch = plain(_parsed(raw, self._path()).tree)
        if not isinstance(patch, dict):
            raise InvalidRequest("config.patch raw must be an object")
        if current:
            _refuse_syntax_errors(current)
        old = plain(current.tree) if current else {}
        masked = self._masked(current)
        patched = _parsed(masked.unmask(_dump(_merged(old, patch))), self._path())
        if current and plain(patched.tree) == old:
            return ChangedConfig(current.file, masked.tree, self._hash(current.text))
        return self._write(current, patched, patch)

    def _write(self, current: ParsedFile | None, new: ParsedFile, given: Any) -> ChangedConfig:
        """Write what a client has made of the file. `given` is what it has sent, placeholders included."""
        old = plain(current.tree) if current else {}
        refuse_new_references(old, plain(new.tree))
        try:
            loaded = self._check(new)
        except ConfigError as error:
            raise InvalidRequest(f"invalid config: {'; '.join(_problems(error))}") from None
        refuse_rerouted_secrets(self._settings(), loaded, given)
        try:
            new.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_file(new.file.resolve(), new.text)
        except (OSError, UnicodeEncodeError) as error:
            why = getattr(error, "strerror", None) or "it is not valid text"
            raise ServiceUnavailable(f"The configuration cannot be written: {why}.") from error
        keys = changed_keys(old, plain(new.tree)) or ("(comments)",)
        return ChangedConfig(new.file, self._masked(new).tree, self._hash(new.text), keys)

    def _problems(self, parsed: ParsedFile) -> tuple[str, ...]:
        """Why the gateway could not run with that text; empty if it could."""
        try:
            self._check(parsed)
        except ConfigError as error:
            return _problems(error)
        return ()

    def _refuse_in_environment(self) -> None:
        if self._path() == IN_ENVIRONMENT:
            raise InvalidRequest(
                f"the configuration is {IN_ENVIRONMENT} in the gateway's environment: change it there"
            )

    def _refuse_stale(self, current: ParsedFile | None, base_hash: str | None) -> None:
        if current is None:
            return
        if not base_hash:
            raise InvalidRequest("config base hash required; re-run config.get and retry")
        if not hmac.compare_digest(self._hash(current.text).encode(), base_hash.encode("utf-8", "replace")):
            raise InvalidRequest("config changed since last load; re-run config.get and retry")

    def _path(self) -> Path:
        settings = self._settings()
        return settings.config_path or settings.state_dir / DEFAULT_NAME

    def _current(self) -> ParsedFile | None:
        """The file as it is now, None if there is none."""
        path = self._path()
        if path == IN_ENVIRONMENT:
            return None
        try:
            text = path.read_bytes().decode("utf-8-sig", "replace")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ServiceUnavailable(f"The configuration cannot be read: {error.strerror}.") from error
        return ParsedFile.parse(text, path)

    def _masked(self, parsed: ParsedFile | None) -> MaskedFile:
        secrets_in_force = secrets_of(self._settings())
        if parsed is None:
            return MaskedFile("", {}, secrets_in_force)
        return MaskedFile(parsed.text, plain(parsed.tree), secrets_in_force)

    def _hash(self, text: str) -> str:
        """Keyed with a secret: else whoever sees the masked text could try out short secrets against it."""
        auth = self._settings().gateway.auth
        key = (auth.token or auth.password or "").encode()
        return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def _problems(error: ConfigError) -> tuple[str, ...]:
    return error.problems or (error.message,)


def _parsed(text: str, file: Path) -> ParsedFile:
    """Raises InvalidRequest, with every mistake, if the text is not JSON5."""
    parsed = ParsedFile.parse(text, file)
    _refuse_syntax_errors(parsed)
    return parsed


def _refuse_syntax_errors(parsed: ParsedFile) -> None:
    if parsed.mistakes:
        mistakes = "; ".join(f"{where.line}:{where.column}: {what}" for where, what in parsed.mistakes)
        raise InvalidRequest(f"invalid config: {mistakes}")


def _merged(base: Any, patch: Any) -> Any:
    if isinstance(base, list) and _have_ids(base) and _have_ids(patch):
        changes = {one["id"]: one for one in patch}
        kept = [_merged(one, changes.pop(one["id"], {})) for one in base]
        return [*kept, *(_merged({}, one) for one in changes.values())]
    if not isinstance(patch, dict):
        return patch
    merged = dict(base) if isinstance(base, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merged(merged.get(key), value)
    return merged


def _have_ids(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(one, dict) and isinstance(one.get("id"), str) for one in value)
    )


def _dump(tree: Any) -> str:
    return json.dumps(tree, indent=2, ensure_ascii=False) + "\n"
