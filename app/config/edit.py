"""Changes the operator's file for a client: only to what would load, and all of it or nothing.

The watch takes the change up as if the operator had made it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.concurrency.native_thread import NativeThread
from app.config.schema.nesting import plain
from app.config.settings import Settings
from app.config.shown.mask import MaskedFile
from app.config.shown.redact import redact, secrets_of
from app.config.source.json5_text import TextError, parse
from app.errors import ConfigError, InvalidRequest, ServiceUnavailable

DEFAULT_NAME = "openclaw.json"


@dataclass(frozen=True, slots=True)
class ShownConfig:
    """The file without secrets. `hash` stands for its exact text, None if there is no file."""

    path: Path
    text: str | None
    tree: Any
    hash: str | None
    problems: tuple[str, ...]
    effective: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ChangedConfig:
    path: Path
    tree: Any
    hash: str
    changed: bool = True


class ConfigFile:
    """`settings` gives those in force; `check` reads a file as if it were the configuration, and raises
    ConfigError if the gateway could not run with it. One thing at a time is done, off the event loop."""

    def __init__(
        self, settings: Callable[[], Settings], check: Callable[[Path], object], native_thread: NativeThread
    ) -> None:
        self._settings = settings
        self._check = check
        self._native_thread = native_thread

    def show(self) -> ShownConfig:
        return self._native_thread.call(self._show)

    def replace(self, raw: str, base_hash: str | None) -> ChangedConfig:
        """The whole file. Raises InvalidRequest: another base, or mistakes, all of which are told."""
        return self._native_thread.call(self._replace, raw, base_hash)

    def patch(self, raw: str, base_hash: str | None) -> ChangedConfig:
        """A merge patch: objects merge, null removes a key, lists of objects with an `id` merge by it.

        The file becomes plain JSON. Raises InvalidRequest as `replace` does.
        """
        return self._native_thread.call(self._patch, raw, base_hash)

    def _show(self) -> ShownConfig:
        path, text = self._path(), self._text()
        masked = self._masked(text)
        problems: tuple[str, ...] = ()
        if text is not None:
            try:
                self._check(path)
            except ConfigError as error:
                problems = error.problems or (error.message,)
        return ShownConfig(
            path,
            None if text is None else masked.text,
            masked.tree,
            None if text is None else self._hash(text),
            problems,
            redact(self._settings()),
        )

    def _replace(self, raw: str, base_hash: str | None) -> ChangedConfig:
        text = self._text()
        self._refuse_stale(text, base_hash)
        _tree_of(raw)
        return self._write(self._masked(text).unmask(raw))

    def _patch(self, raw: str, base_hash: str | None) -> ChangedConfig:
        text = self._text()
        self._refuse_stale(text, base_hash)
        patch = _tree_of(raw)
        if not isinstance(patch, dict):
            raise InvalidRequest("config.patch raw must be an object")
        old = _tree_of(text) if text is not None else {}
        masked = self._masked(text)
        patched = masked.unmask(_dump(_merged(old, patch)))
        if _tree_of(patched) == old and text is not None:
            return ChangedConfig(self._path(), masked.tree, self._hash(text), changed=False)
        return self._write(patched)

    def _write(self, text: str) -> ChangedConfig:
        path = self._path()
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _beside(path, text) as candidate:
                self._refuse_mistakes(candidate, path)
            _swap(path.resolve(), text)
        except (OSError, UnicodeEncodeError) as error:
            why = getattr(error, "strerror", None) or "it is not valid text"
            raise ServiceUnavailable(f"The configuration cannot be written: {why}.") from error
        return ChangedConfig(path, self._masked(text).tree, self._hash(text))

    def _refuse_mistakes(self, candidate: Path, path: Path) -> None:
        try:
            self._check(candidate)
        except ConfigError as error:
            problems = error.problems or (error.message,)
            told = "; ".join(problem.replace(str(candidate), str(path)) for problem in problems)
            raise InvalidRequest(f"invalid config: {told}") from error

    def _refuse_stale(self, text: str | None, base_hash: str | None) -> None:
        if text is None:
            return
        if not base_hash:
            raise InvalidRequest("config base hash required; re-run config.get and retry")
        if not hmac.compare_digest(self._hash(text).encode(), base_hash.encode("utf-8", "replace")):
            raise InvalidRequest("config changed since last load; re-run config.get and retry")

    def _path(self) -> Path:
        settings = self._settings()
        return settings.config_path or settings.state_dir / DEFAULT_NAME

    def _text(self) -> str | None:
        try:
            return self._path().read_bytes().decode("utf-8-sig", "replace")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ServiceUnavailable(f"The configuration cannot be read: {error.strerror}.") from error

    def _masked(self, text: str | None) -> MaskedFile:
        try:
            tree = {} if text is None else plain(parse(text, self._path()))
        except TextError:
            tree = None
        return MaskedFile(text or "", tree, secrets_of(self._settings()))

    def _hash(self, text: str) -> str:
        """Keyed, or whoever may read what is shown could try out short secrets against it."""
        auth = self._settings().gateway.auth
        key = (auth.token or auth.password or "").encode()
        return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def _tree_of(text: str) -> Any:
    try:
        return plain(parse(text, Path("config")))
    except TextError as error:
        told = "; ".join(f"{place.line}:{place.column}: {what}" for place, what in error.mistakes)
        raise InvalidRequest(f"invalid config: {told}") from error


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


@contextmanager
def _beside(path: Path, text: str) -> Iterator[Path]:
    """The text in a file of its own in the same folder, so that names in it mean the same."""
    candidate = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    try:
        _write_new(candidate, text)
        yield candidate
    finally:
        candidate.unlink(missing_ok=True)


def _swap(path: Path, text: str) -> None:
    """The file has the old text or the new one, whatever happens; it keeps its mode."""
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
    with _beside(path, text) as new:
        new.chmod(mode)
        new.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _write_new(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())
