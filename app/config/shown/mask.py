"""The operator's file as it is written, with placeholders for secrets; and back.

Which values are secrets is decided by `app/config/shown/secrets.py`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

import json5

from app.config.schema.fields import REDACTED
from app.config.shown.secrets import (
    MIN_SECRET_CHARS,
    is_secret_name,
    is_unknown,
    redact_text,
    redact_tree,
    secret_values,
)
from app.config.source.json5_text import comments, scalars
from app.config.source.problems import KeyPath, write_path
from app.errors import InvalidRequest

_VARIABLE = re.compile(r"\$\{[A-Z_][A-Z0-9_]*\}")
_ASSIGNMENT = re.compile(
    r"((?:token|passw(?:or)?d|passphrase|secret|key|credentials?)[\"']?\s*[:=]\s*)"
    r"(\"(?:\\.|[^\"\\\n])*\"?|'(?:\\.|[^'\\\n])*'?|[^\s,}\]\"']+)",
    re.IGNORECASE,
)


# A comment or a quoted text in a file that cannot be parsed; a colon follows a text that is a key.
_LITERAL = re.compile(
    r"//[^\n]*|/\*.*?(?:\*/|\Z)"
    r"|(?:\"(?:\\.|[^\"\\\n])*\"?|'(?:\\.|[^'\\\n])*'?)(?P<colon>\s*:)?",
    re.DOTALL,
)


class MaskedFile:
    """`tree` and `text` are the file's own with placeholders; `secrets` are replaced wherever they occur.

    `tree` None: the file cannot be parsed. Then nothing says where a text belongs, and none is shown.
    """

    def __init__(self, text: str, tree: Any, secrets: Iterable[str] = ()) -> None:
        self._text, self._tree = text, tree
        known = {*secrets, *secret_values(tree, _is_reference)}
        self._secrets = sorted((one for one in known if len(one) >= MIN_SECRET_CHARS), key=len, reverse=True)
        self.tree = redact_tree(tree, self._secrets, _is_reference)
        self.text = self._masked_text()

    def unmask(self, text: str) -> str:
        """`text` with the secrets of the file in place of the placeholders.

        Raises InvalidRequest for a placeholder where the file has no secret.
        """
        masked_comments = {} if self._tree is None else self._masked_comments()
        spans = [
            (start, end, json.dumps(self._unmasked(path, text[start:end]), ensure_ascii=False))
            for path, start, end in scalars(text)
            if REDACTED in text[start:end]
        ]
        spans += [
            (start, end, masked_comments[text[start:end]])
            for _, start, end in comments(text)
            if text[start:end] in masked_comments
        ]
        return _replaced(text, spans)

    def _unmasked(self, path: KeyPath, written: str) -> Any:
        known = at(self._tree, path)
        if known is None or at(self.tree, path) != json5.loads(written):
            raise InvalidRequest(
                f"{write_path(path)}: the placeholder {REDACTED} was sent, but there is no such secret to "
                "keep: write the value itself"
            )
        return known

    def _masked_text(self) -> str:
        if self._tree is None:
            return _LITERAL.sub(_masked_literal, self._masked_prose(self._text))
        spans = [
            (start, end, json.dumps(shown, ensure_ascii=False))
            for path, start, end in scalars(self._text)
            if (shown := at(self.tree, path)) != at(self._tree, path)
        ]
        spans += [(start, end, shown) for start, end, shown in self._shown_comments()]
        return _replaced(self._text, spans)

    def _masked_comments(self) -> dict[str, str]:
        """Each comment as it is shown -> as it is in the file."""
        return {shown: self._text[start:end] for start, end, shown in self._shown_comments()}

    def _shown_comments(self) -> Iterator[tuple[int, int, str]]:
        """Start and end of each comment, and how it is shown: by its number only in an unknown section."""
        for number, (path, start, end) in enumerate(comments(self._text), start=1):
            written = self._text[start:end]
            if not is_unknown(path):
                yield start, end, self._masked_prose(written)
            elif written.startswith("//"):
                yield start, end, f"// {REDACTED} {number}"
            else:
                yield start, end, f"/* {REDACTED} {number} */"

    def _masked_prose(self, text: str) -> str:
        """Text that is not a value, such as a comment: what looks like an assigned secret is masked, too."""
        return redact_text(_ASSIGNMENT.sub(lambda found: f'{found[1]}"{REDACTED}"', text), self._secrets)


def _masked_literal(found: re.Match[str]) -> str:
    written = found[0]
    if found["colon"]:
        return written
    if written.startswith("//"):
        return f"// {REDACTED}"
    return f"/* {REDACTED} */" if written.startswith("/*") else f'"{REDACTED}"'


def at(tree: Any, path: KeyPath) -> Any:
    """The value at that path; None if there is none."""
    for step in path:
        if not isinstance(tree, dict | list):
            return None
        try:
            tree = tree[step]  # type: ignore[index]
        except (LookupError, TypeError):
            return None
    return tree


def _is_reference(path: KeyPath, value: Any) -> bool:
    """Whether the value only names where a secret is: `"${NAME}"`, or a part of OpenClaw's
    `{source: "env", provider, id}`.
    """
    if isinstance(value, str) and _VARIABLE.fullmatch(value):
        return True
    return path[-1] in ("source", "provider", "id") and len(path) > 1 and is_secret_name(str(path[-2]))


def _replaced(text: str, spans: Iterable[tuple[int, int, str]]) -> str:
    """The text with each span (start, end, new text) replaced."""
    pieces, done = [], 0
    for start, end, new in sorted(spans):
        pieces += [text[done:start], new]
        done = end
    return "".join((*pieces, text[done:]))
