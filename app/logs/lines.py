"""Log lines: text for a person at a terminal, JSON otherwise; the request id on every line, no secrets.

The one way to log is `log_event`: `log_event(logger, logging.INFO, "run finished", run_id=run.id)`. Values
are fields beside the message, never part of it, so that lines of one kind can be found by their message.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal, TextIO

import orjson

from app.logs.redaction import is_harmless, redact

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)

# No line shows the caller's frame, thread or process; looking them up would double a line's cost.
logging._srcfile = None
logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False

MAX_FIELD = 2000  # characters of a message or a field

NUMBERS = frozenset((bool, int, float))
_JSON_TYPES = NUMBERS | {str}
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")
_LINE_BREAKS = re.compile(r"[\x7f-\x9f\u2028\u2029]")  # allowed in JSON, but some readers end a line there


class UnlockedHandler(logging.Handler):
    """A handler whose `emit` is one step that needs no lock, which is half of a line's cost in a patched
    process.

    The library has three uses of `Handler.lock`, which differ between Python versions: 3.11 and 3.12 call
    `acquire` and `release` if it is not None; 3.13 enters it as a context manager, in `handle` and in
    `StreamHandler.flush`. So there is an object that can do all of that and does nothing, and `handle` does
    not ask for it at all. (Proved on 3.11.7, 3.12.1 and 3.13.0 by tests/unit/logs/test_handlers.py.)
    """

    def createLock(self) -> None:  # noqa: N802 - the library's name
        self.lock = _NO_LOCK  # type: ignore[assignment]

    def handle(self, record: logging.LogRecord) -> Any:
        """As the library's own, without its lock; the record, or false if a filter has dropped it."""
        kept: Any = self.filter(record)  # 3.12 and later: possibly another record
        if kept:
            self.emit(kept if isinstance(kept, logging.LogRecord) else record)
        return kept


class _NoLock:
    def acquire(self, *_: Any) -> bool:
        return True

    def release(self) -> None: ...

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


_NO_LOCK = _NoLock()


class Line(logging.LogRecord):
    """A record with fields, made without what no line shows."""

    _BLANK = logging.LogRecord("", 0, "", 0, "", None, None).__dict__

    def __init__(self, name: str, level: int, message: str, fields: dict[str, Any]) -> None:
        # Not the library's constructor, which looks up paths, threads and processes for every line.
        self.__dict__.update(self._BLANK)
        self.name = name
        self.msg = message
        self.levelno = level
        self.levelname = logging.getLevelName(level)
        self.created = time.time()
        self.fields = fields

    def getMessage(self) -> str:  # noqa: N802 - the library's name
        return str(self.msg)


def log_event(logger: logging.Logger, level: int, message: str, **fields: Any) -> None:
    """Log `message` with named values; those that are None are left out."""
    if logger.isEnabledFor(level):
        if None in fields.values():
            fields = {name: value for name, value in fields.items() if value is not None}
        if (current := request_id.get()) is not None:
            fields.setdefault("request_id", current)
        logger.handle(Line(logger.name, level, message, fields))


class TextFormatter(logging.Formatter):
    """`12:00:01 INFO app.runs run finished run_id=… · request_id`, one line each, but for tracebacks."""

    def format(self, record: logging.LogRecord) -> str:
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        parts = [f"{clock} {record.levelname:<7} {record.name}: {_one_line(record.getMessage())}"]
        parts += [f"{name}={_one_line(str(value))}" for name, value in fields_of(record).items()]
        line = redact(" ".join(parts))
        if record.exc_info:
            line += "\n" + redact(self.formatException(record.exc_info))
        return line


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "ts": timestamp(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        fields = fields_of(record)
        if not _JSON_TYPES.issuperset(map(type, fields.values())):
            fields = {
                name: value if type(value) in _JSON_TYPES else str(value) for name, value in fields.items()
            }
        line.update(fields)
        if not record.exc_info:
            text = dump_json(line)
            if len(text) <= MAX_FIELD and is_harmless(text):
                return text
        line = {
            name: redact(value)[:MAX_FIELD] if isinstance(value, str) else value
            for name, value in line.items()
        }
        if record.exc_info:
            line["exception"] = redact(self.formatException(record.exc_info))
        return dump_json(line)


def timestamp(seconds: float) -> str:
    """RFC 3339 in UTC with milliseconds, of seconds since 1970."""
    milliseconds = int(seconds * 1000)
    return f"{_second(milliseconds // 1000)}.{milliseconds % 1000:03}Z"


@lru_cache(maxsize=2)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()[:-6]


def dump_json(line: dict[str, Any]) -> str:
    """One line of JSON, whatever the values are: lone surrogates and huge numbers too."""
    try:
        text = orjson.dumps(line).decode()
    except TypeError:
        return json.dumps(line)
    return text if text.isascii() else _LINE_BREAKS.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """The record's named values, the request id among them."""
    if type(record) is Line:
        return record.fields
    fields = dict(getattr(record, "fields", ()))
    if (current := request_id.get()) is not None:
        fields.setdefault("request_id", current)
    return fields


def _one_line(text: str) -> str:
    """A line break in a value must not look like a log line of its own."""
    return _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", text)[:MAX_FIELD]


class LineHandler(UnlockedHandler, logging.StreamHandler[TextIO]):
    """Writes each line with one call to a line-buffered stream such as stderr: it needs no flush either."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self.stream.write(self.format(record) + "\n")
        except Exception:
            self.handleError(record)


def logging_config(level: str, style: Literal["text", "json"] | None) -> dict[str, Any]:
    """The dictionary for `logging.config.dictConfig`, gunicorn's loggers included."""
    style = style or ("text" if sys.stderr.isatty() else "json")
    formatter = TextFormatter if style == "text" else JsonFormatter
    # Gunicorn logs an answer only once it has ended, and not all of those: our own lines replace it.
    quiet = {"handlers": [], "propagate": False, "level": "CRITICAL"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": formatter}},
        "handlers": {"stderr": {"()": LineHandler, "formatter": "line", "stream": sys.stderr}},
        "root": {"handlers": ["stderr"], "level": level.upper()},
        "loggers": {
            "gunicorn.error": {"handlers": [], "propagate": True, "level": level.upper()},
            "gunicorn.access": quiet,
            "alembic": {"level": "WARNING"},
        },
    }
