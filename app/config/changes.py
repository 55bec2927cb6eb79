"""What a client may not bring in when it changes the configuration, and which keys it has changed. Pure.

A client that may write the file does not thereby get to see the gateway's secrets: it is shown placeholders,
and so must not send a secret that it does not know to a place of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

from app.config.dummy_keys import is_dummy_key
from app.config.settings import ProviderSettings, Settings
from app.config.source.includes import INCLUDE
from app.config.source.problems import KeyPath, write_path
from app.config.source.substitute import references
from app.errors import InvalidRequest

Leaf = tuple[KeyPath, Any]


def refuse_new_references(old: Any, new: Any) -> None:
    """Raise InvalidRequest if `new` reads a variable, or a file by its absolute path, and `old` does not."""
    known = set(_references(old))
    for path, what in _references(new):
        if (path, what) not in known:
            raise InvalidRequest(
                f"{write_path(path)}: {what} may only be brought in on the gateway's own machine, by whoever "
                "may edit the file: write the value itself"
            )


def refuse_rerouted_secrets(running: Settings, new: Settings, given: Any) -> None:
    """Raise InvalidRequest if a secret would go where it does not go now, unless `given`, what the client has
    sent, contains it.
    """
    known = set(_routes(running))
    written = {value for _, value in _leaves(given, ()) if isinstance(value, str)}
    for path, address, secret in _routes(new):
        if (path, address, secret) not in known and secret not in written:
            raise InvalidRequest(
                f"{path}: a secret that is not shown would be sent to another address; write the secret "
                "itself, or make the change on the gateway's own machine"
            )


def changed_keys(old: Any, new: Any) -> tuple[str, ...]:
    """The paths of the values that differ, without the values."""
    before, after = dict(_leaves(old, ())), dict(_leaves(new, ()))
    paths = dict.fromkeys(chain(before, after))
    return tuple(write_path(path) for path in paths if before.get(path) != after.get(path))


def _references(tree: Any) -> Iterator[tuple[KeyPath, str]]:
    """Each variable and absolute `$include` with the path it is read at, places in lists left out."""
    for path, value in _leaves(tree, ()):
        named = tuple(step for step in path if isinstance(step, str))
        if not isinstance(value, str):
            continue
        if INCLUDE in named:
            if value.startswith("/"):
                yield named, f"the file {value}"
            continue
        if named[-1:] == ("id",):  # of `{source: "env", id: "NAME"}`
            holder = _at(tree, path[:-1])
            if isinstance(holder, dict) and "source" in holder:
                yield named, f"the variable {value}"
        yield from ((named, f"the variable {name}") for name in references(value))


def _routes(settings: Settings) -> Iterator[tuple[str, tuple[str, ...], str]]:
    """Each secret that is sent to another host: the key of its owner, where it goes, and the secret."""
    for name, provider in settings.providers.items():
        secrets = (provider.api_key, *provider.headers.values())
        known = (one for one in secrets if one and not is_dummy_key(one))
        yield from ((f"models.providers.{name}", _route(provider), one) for one in known)
    remote = settings.gateway.remote
    yield from (
        ("gateway.remote", (remote.url or "",), one) for one in (remote.token, remote.password) if one
    )


def _route(provider: ProviderSettings) -> tuple[str, ...]:
    """What decides who can read what is sent to a provider."""
    authorities = (str(provider.ca_file), *map(str, provider.trusted_ca_files))
    return provider.base_url, provider.proxy or "", *authorities


def _leaves(value: Any, path: KeyPath) -> Iterator[Leaf]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _leaves(item, (*path, key))
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield from _leaves(item, (*path, index))
    else:
        yield path, value


def _at(tree: Any, path: KeyPath) -> Any:
    for step in path:
        tree = tree[step]
    return tree
