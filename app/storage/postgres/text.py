"""Text as PostgreSQL takes it. It refuses two things that SQLite stores: NUL, and half a surrogate pair."""

from __future__ import annotations

import json
import re
from typing import Any

import psycopg
from psycopg.types.json import set_json_dumps
from psycopg.types.string import StrDumper, StrDumperUnknown

_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")
_SURROGATES = re.compile("[\ud800-\udfff]")
REPLACEMENT = "\ufffd"  # Unicode's own, for a character that cannot be shown


def as_stored(text: str) -> bytes:
    """UTF-8, with another character in place of each that the database refuses."""
    if "\0" in text:
        text = text.replace("\0", REPLACEMENT)
    try:
        return text.encode()
    except UnicodeEncodeError:
        return _SURROGATES.sub(REPLACEMENT, text).encode()


def dump_json(value: Any) -> bytes:
    """JSON whose texts can be taken out by the database's own functions, too."""
    return as_stored(_NUL.sub(rf"\1{REPLACEMENT}", json.dumps(value, ensure_ascii=False)))


class _SafeDumper(StrDumper):
    def dump(self, obj: str) -> bytes:
        return as_stored(obj)


class _SafeDumperUnknown(StrDumperUnknown):
    def dump(self, obj: str) -> bytes:
        return as_stored(obj)


def register(connection: psycopg.Connection[Any]) -> None:
    """Let the connection's cursors send text and JSON in this way."""
    set_json_dumps(dump_json, connection)
    connection.adapters.register_dumper(str, _SafeDumper)
    connection.adapters.register_dumper(str, _SafeDumperUnknown)
