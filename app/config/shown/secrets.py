"""What must not be shown, decided here alone: `is_secret` for keys, `redact_url` for URLs.

The documentation, the form's hints, the file as it is written and the effective configuration ask here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any

from marshmallow import fields

from app.config.dummy_keys import is_dummy_key
from app.config.schema.fields import REDACTED
from app.config.schema.root import RootSchema
from app.config.schema.walk import SchemaPath, element, matches, section_of, walk
from app.config.source.problems import KeyPath

MIN_SECRET_CHARS = 6  # a shorter secret is not searched for in other texts: it may be a part of any word

_SECRET_NAMES = (
    *("token", "password", "passwd", "passphrase", "secret", "apikey", "privatekey", "secretkey"),
    *("accesskey", "authkey", "signingkey", "credential", "credentials", "cookie", "serviceaccount"),
)
_ALL_BELOW = ("headers", "env")
# In sections that the schema does not know, texts are shown at keys of these names only.
_HARMLESS_NAMES = frozenset(
    (
        *(
            "$include",
            "$schema",
            "action",
            "agent",
            "agentid",
            "allow",
            "channel",
            "deny",
            "dmpolicy",
            "format",
        ),
        *(
            "grouppolicy",
            "id",
            "kind",
            "lasttouchedat",
            "lasttouchedversion",
            "level",
            "mode",
            "model",
            "policy",
        ),
        *("profile", "provider", "schedule", "scope", "source", "style", "timezone", "transport", "type"),
        *("version",),
    )
)
_SECRET_PARAMETER = re.compile(r"([?&][^=&]*(?:pass|secret|token|key|auth)[^=&]*=)[^&#]*", re.IGNORECASE)
# As greedy as SQLAlchemy, which lets a password contain a slash and an at sign.
_USERINFO = re.compile(r"(?<=//).*@", re.DOTALL)


def is_secret(path: KeyPath) -> bool:
    """Whether a value at that key path must not be shown.

    The schema marks the keys it knows. A file may also have sections of OpenClaw that the schema does not
    know: there the name of any key on the path decides.
    """
    return any(matches(pattern, path) for pattern in _marked()) or any(
        isinstance(step, str) and is_secret_name(step) for step in path
    )


def is_hidden_text(path: KeyPath) -> bool:
    """Whether a text at that key path must not be shown, secret or not: the schema does not know the section,
    so nothing says what it is, and its key does not have a harmless name.
    """
    named = [step for step in path if isinstance(step, str)]
    if not named or named[-1].lower() in _HARMLESS_NAMES:
        return False
    return is_unknown(path)


def is_unknown(path: KeyPath) -> bool:
    """Whether the schema has no key at that path, and none whose value may have any form above it."""
    return not any(_describes(pattern, is_section, path) for pattern, is_section in _known())


def _describes(pattern: SchemaPath, is_section: bool, path: KeyPath) -> bool:
    shared = pattern[: len(path)]
    return matches(shared, path) and not (is_section and len(path) > len(pattern))


@lru_cache(maxsize=1)
def _known() -> tuple[tuple[SchemaPath, bool], ...]:
    return tuple((key.path, _is_section(key.field)) for key in walk(RootSchema()))


def _is_section(field: fields.Field[Any]) -> bool:
    while inner := element(field):
        field = inner[1]
    return section_of(field) is not None


@lru_cache(maxsize=1)
def _marked() -> tuple[SchemaPath, ...]:
    return tuple(key.path for key in walk(RootSchema()) if key.is_marked_secret)


def is_secret_name(key: str) -> bool:
    """Whether a key of that name holds a secret, in whatever section: `botToken`, `API_KEY`, `headers`."""
    plain = key.lower().replace("_", "").replace("-", "")
    return plain in _ALL_BELOW or plain.endswith(_SECRET_NAMES)


def redact_tree(
    tree: Any, secrets: Iterable[str], is_reference: Callable[[KeyPath, Any], bool] = lambda *_: False
) -> Any:
    """A copy of a configuration's tree without secrets; `secrets` are removed from all other texts, too.

    `is_reference` says which values at a secret's key only name where the secret is.
    """
    longest_first = sorted(secrets, key=len, reverse=True)

    def redacted(value: Any, path: KeyPath) -> Any:
        if isinstance(value, dict):
            return {key: redacted(item, (*path, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [redacted(item, (*path, index)) for index, item in enumerate(value)]
        if _can_be_secret(value) and is_secret(path) and not is_reference(path, value):
            return REDACTED
        if not isinstance(value, str):
            return value
        if value and is_hidden_text(path) and not is_reference(path, value):
            return REDACTED
        return redact_text(redact_url(value) if _is_url(value, path) else value, longest_first)

    return redacted(tree, ())


def secret_values(
    tree: Any, is_reference: Callable[[KeyPath, Any], bool] = lambda *_: False
) -> Iterator[str]:
    """The texts in a configuration's tree that are secrets, passwords in URLs included.

    Only those of at least `MIN_SECRET_CHARS` and no dummy keys: they can be searched for in other texts.
    """
    for path, value in _leaves(tree, ()):
        if not isinstance(value, str):
            continue
        found = [value] if is_secret(path) else []
        if _is_url(value, path):
            found += [userinfo[0][:-1].partition(":")[2] for userinfo in _USERINFO.finditer(value)]
        for secret in found:
            if _is_recognizable(secret) and not is_reference(path, secret):
                yield secret


def _is_recognizable(secret: str) -> bool:
    return len(secret) >= MIN_SECRET_CHARS and not is_dummy_key(secret)


def redact_text(text: str, secrets: Iterable[str]) -> str:
    """The text with each secret replaced; give the longer ones first, a shorter one may be a part of them."""
    for secret in secrets:
        text = text.replace(secret, REDACTED)
    return text


def redact_url(url: str) -> str:
    """The URL with its password and its secret parameters replaced."""

    def userinfo(found: re.Match[str]) -> str:
        user, colon, _ = found[0].rpartition("@")[0].partition(":")
        return f"{user}:{REDACTED}@" if colon else f"{user}@"

    return _SECRET_PARAMETER.sub(rf"\1{REDACTED}", _USERINFO.sub(userinfo, url))


def _can_be_secret(value: Any) -> bool:
    return value is not None and not isinstance(value, bool) and value != ""


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
