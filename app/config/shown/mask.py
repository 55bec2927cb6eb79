"""The operator's file as it is written, fit to be shown; and what was shown and comes back, made whole.

What is a secret goes by names, because the file may have sections that this project does not know.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

import json5

from app.config.schema.fields import REDACTED
from app.config.shown.redact import redact_url
from app.config.source.json5_text import comments, scalars
from app.config.source.problems import KeyPath, write_path
from app.errors import InvalidRequest

SHORTEST = 6  # a shorter secret is not blotted out of other texts: it may be a part of any word

_SECRET_NAMES = (
    *("token", "password", "passwd", "passphrase", "secret", "apikey", "privatekey", "secretkey"),
    *("accesskey", "authkey", "signingkey", "credential", "credentials", "cookie", "serviceaccount"),
)
_ALL_BELOW = ("headers", "env")
_VARIABLE = re.compile(r"\$\{[A-Z_][A-Z0-9_]*\}")
_ASSIGNMENT = re.compile(
    r"((?:token|passw(?:or)?d|passphrase|secret|key|credentials?)[\"']?\s*[:=]\s*)"
    r"(\"(?:\\.|[^\"\\\n])*\"?|'(?:\\.|[^'\\\n])*'?|[^\s,}\]\"']+)",
    re.IGNORECASE,
)


class MaskedFile:
    """`tree` and `text` are the file's own without a secret; `secrets` are blotted out wherever they occur.

    A file that cannot be read has no tree; its text is masked by what it looks like.
    """

    def __init__(self, text: str, tree: Any, secrets: Iterable[str] = ()) -> None:
        self._text, self._tree = text, tree
        known = {*secrets, *_secret_values(tree)}
        self._secrets = sorted((one for one in known if len(one) >= SHORTEST), key=len, reverse=True)
        self.tree = self._masked(tree, ())
        self.text = self._masked_text()

    def unmask(self, text: str) -> str:
        """`text` with each placeholder that was shown as it is in the file.

        Raises InvalidRequest: a placeholder that nothing stands behind.
        """
        remarks = {} if self._tree is None else self._remarks()
        spans = [
            (start, end, json.dumps(self._behind(path, text[start:end]), ensure_ascii=False))
            for path, start, end in scalars(text)
            if REDACTED in text[start:end]
        ]
        spans += [
            (start, end, remarks[text[start:end]])
            for start, end in comments(text)
            if text[start:end] in remarks
        ]
        return _spliced(text, spans)

    def _behind(self, path: KeyPath, written: str) -> Any:
        known = at(self._tree, path)
        if known is None or at(self.tree, path) != json5.loads(written):
            raise InvalidRequest(
                f"{write_path(path)}: the placeholder {REDACTED} was sent, but there is no such secret to "
                "keep: write the value itself"
            )
        return known

    def _masked(self, value: Any, path: KeyPath) -> Any:
        if isinstance(value, dict):
            return {key: self._masked(item, (*path, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [self._masked(item, (*path, index)) for index, item in enumerate(value)]
        if _is_secret(path, value):
            return REDACTED
        if not isinstance(value, str):
            return value
        return self._blotted(redact_url(value) if _is_url(value, path) else value)

    def _masked_text(self) -> str:
        if self._tree is None:
            return self._words(self._text)
        spans = [
            (start, end, json.dumps(shown, ensure_ascii=False))
            for path, start, end in scalars(self._text)
            if (shown := at(self.tree, path)) != at(self._tree, path)
        ]
        spans += [(start, end, self._words(self._text[start:end])) for start, end in comments(self._text)]
        return _spliced(self._text, spans)

    def _remarks(self) -> dict[str, str]:
        """Comments as they are shown -> as they are."""
        written = [self._text[start:end] for start, end in comments(self._text)]
        return {self._words(one): one for one in written}

    def _words(self, text: str) -> str:
        """Text that is no value: what looks like the setting of a secret is masked, too."""
        return self._blotted(_ASSIGNMENT.sub(lambda found: f'{found[1]}"{REDACTED}"', text))

    def _blotted(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, REDACTED)
        return text


def at(tree: Any, path: KeyPath) -> Any:
    """What stands there; None if nothing does."""
    for step in path:
        if not isinstance(tree, dict | list):
            return None
        try:
            tree = tree[step]  # type: ignore[index]
        except (LookupError, TypeError):
            return None
    return tree


def is_secret_name(key: str) -> bool:
    plain = key.lower().replace("_", "").replace("-", "")
    return plain in _ALL_BELOW or plain.endswith(_SECRET_NAMES)


def _secret_values(tree: Any) -> list[str]:
    """The texts that stand where secrets stand."""
    return [value for path, value in _leaves(tree, ()) if isinstance(value, str) and _is_secret(path, value)]


def _is_secret(path: KeyPath, value: Any) -> bool:
    if value is None or isinstance(value, bool) or value == "" or _names_a_variable(value):
        return False
    return any(isinstance(step, str) and is_secret_name(step) for step in path) and not _is_reference(path)


def _names_a_variable(value: Any) -> bool:
    return isinstance(value, str) and _VARIABLE.fullmatch(value) is not None


def _is_reference(path: KeyPath) -> bool:
    """A part of OpenClaw's `{source: "env", provider, id}`, which stands in a secret's place and is none."""
    return path[-1] in ("source", "provider", "id") and len(path) > 1 and is_secret_name(str(path[-2]))


def _is_url(text: str, path: KeyPath) -> bool:
    return "//" in text and (not re.search(r"\s", text) or str(path[-1]).lower().endswith("url"))


def _leaves(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _leaves(item, (*path, index))
    else:
        yield path, value


def _spliced(text: str, spans: Iterable[tuple[int, int, str]]) -> str:
    pieces, done = [], 0
    for start, end, new in sorted(spans):
        pieces += [text[done:start], new]
        done = end
    return "".join((*pieces, text[done:]))
