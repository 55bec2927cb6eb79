"""Log lines: text for a person at a terminal, JSON otherwise; the request id on every line, no secrets.

Fields go beside the message: `log_event(logger, logging.INFO, "run finished", run_id=run.id)`.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from collections import deque
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal, NamedTuple, TextIO

import orjson

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)

# What no line shows is not looked up: the caller's frame and its thread would double a line's cost.
logging._srcfile = None
logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False

REDACTED = "[redacted]"
MAX_FIELD = 2000
RING_LINES = 2000

_SECRETS = re.compile(
    r"(?P<lead>\bBearer\s+|[?&#](?:token|password|key)="
    r"|(?:authorization|api[-_]?key)[\"']?\s*[:=]\s*[\"']?(?:(?:bearer|basic)\s+)?)"
    r"[^\s\"'&]+|\b(?:sk|gsk|xai|pk)-[-_A-Za-z0-9]{8,}",
    re.IGNORECASE,
)
_HINTS = ("bearer", "authorization", "api", "=", "k-", "xai-")
_PLAIN = frozenset((bool, int, float))
_AS_THEY_ARE = _PLAIN | {str}
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")
_BREAKS = re.compile(r"[\x7f-\x9f\u2028\u2029]")  # JSON allows them, some readers end a line there


def redact(text: str) -> str:
    """`text` without anything that looks like a credential."""
    if _is_harmless(text):
        return text
    return _SECRETS.sub(lambda match: (match["lead"] or "") + REDACTED, text)


def _is_harmless(text: str) -> bool:
    """Whether nothing in `text` can be part of a credential: far quicker than to look for one."""
    if not text.isascii():  # beyond it, letters have more than two cases
        return False
    lowered = text.lower()
    return not any(map(lowered.__contains__, _HINTS))


class Line(logging.LogRecord):
    """A record of our own: with fields, and with nothing in what no line shows."""

    _BLANK = logging.LogRecord("", 0, "", 0, "", None, None).__dict__

    def __init__(self, name: str, level: int, message: str, fields: dict[str, Any]) -> None:
        # Not the library's own, which looks at paths, threads and processes for every line.
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
        parts += [f"{name}={_one_line(str(value))}" for name, value in _fields(record).items()]
        line = redact(" ".join(parts))
        if record.exc_info:
            line += "\n" + redact(self.formatException(record.exc_info))
        return line


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "ts": _moment(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        fields = _fields(record)
        if not _AS_THEY_ARE.issuperset(map(type, fields.values())):
            fields = {
                name: value if type(value) in _AS_THEY_ARE else str(value) for name, value in fields.items()
            }
        line.update(fields)
        if not record.exc_info:
            text = _dump(line)
            if len(text) <= MAX_FIELD and _is_harmless(text):
                return text
        line = {
            name: redact(value)[:MAX_FIELD] if isinstance(value, str) else value
            for name, value in line.items()
        }
        if record.exc_info:
            line["exception"] = redact(self.formatException(record.exc_info))
        return _dump(line)


def _moment(seconds: float) -> str:
    milliseconds = int(seconds * 1000)
    return f"{_second(milliseconds // 1000)}.{milliseconds % 1000:03}Z"


@lru_cache(maxsize=2)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()[:-6]


def _dump(line: dict[str, Any]) -> str:
    try:
        text = orjson.dumps(line).decode()
    except TypeError:  # lone surrogates, huge numbers
        return json.dumps(line)
    return text if text.isascii() else _BREAKS.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    if type(record) is Line:
        return record.fields
    fields = dict(getattr(record, "fields", ()))
    if (current := request_id.get()) is not None:
        fields.setdefault("request_id", current)
    return fields


def _one_line(text: str) -> str:
    """A line break in a value must not look like a log line of its own."""
    return _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", text)[:MAX_FIELD]


class LineHandler(logging.StreamHandler[TextIO]):
    """Writes each line in one piece to a stream that passes lines on by itself, as stderr does.

    So it needs neither a lock nor a flush, which are half of a line's cost in a patched process.
    """

    def createLock(self) -> None:  # noqa: N802 - the library's name
        self.lock = None

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self.stream.write(self.format(record) + "\n")
        except Exception:
            self.handleError(record)


def logging_config(level: str, style: Literal["text", "json"] | None) -> dict[str, Any]:
    """The dictionary for `logging.config.dictConfig`, gunicorn's loggers included."""
    style = style or ("text" if sys.stderr.isatty() else "json")
    formatter = TextFormatter if style == "text" else JsonFormatter
    # Gunicorn's access log tells an end only, and only of answers that ended: our own lines replace it.
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


class _Kept(NamedTuple):
    created: float
    level: str
    logger: str
    message: str
    fields: dict[str, Any]
    exception: str | None


class Tail(NamedTuple):
    """The end of the log. `cursor` is where to go on; `reset`: the one that was given is of no use."""

    cursor: int
    lines: list[str]
    truncated: bool
    reset: bool


class LogRing(logging.Handler):
    """The newest lines, kept in memory for operators. What a line costs is spent when somebody reads it.

    Lines are numbered from the milliseconds since 1970, so that a number of an earlier process is known
    for one.
    """

    def __init__(self, most: int = RING_LINES) -> None:
        super().__init__()
        self._kept: deque[_Kept] = deque(maxlen=most)
        self._next = time.time_ns() // 1_000_000

    def createLock(self) -> None:  # noqa: N802 - the library's name
        self.lock = None  # one step each: nothing another thread could see half done but the last line

    def install(self) -> None:
        """Hear of every line that is written from now on."""
        logging.getLogger().addHandler(self)

    def remove(self) -> None:
        logging.getLogger().removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            trace = logging.Formatter().formatException(record.exc_info) if record.exc_info else None
            message = record.getMessage()[:MAX_FIELD]
            kept = _Kept(record.created, record.levelname, record.name, message, _fields(record), trace)
        except Exception:
            self.handleError(record)
            return
        self._kept.append(kept)
        self._next += 1

    def tail(self, cursor: int | None, most_lines: int, most_bytes: int) -> Tail:
        """The newest lines of what was written since `cursor`, or of all there is, if there is room."""
        kept, end = list(self._kept), self._next
        first = end - len(kept)
        reset = cursor is not None and not first <= cursor <= end
        since = first if cursor is None or reset else cursor
        lines: list[str] = []
        room = most_bytes
        for one in reversed(kept[since - first :][-most_lines:]):
            line = _dump_kept(one)
            room -= len(line.encode()) + 1
            if room < 0:
                break
            lines.append(line)
        return Tail(end, lines[::-1], truncated=room < 0, reset=reset)


def _dump_kept(kept: _Kept) -> str:
    """JSON with our names, and with those that OpenClaw's own clients look for: `0`, `time` and `_meta`."""
    fields = {name: _shown(value) for name, value in kept.fields.items()}
    message, moment = redact(kept.message), _moment(kept.created)
    line = {
        "0": " ".join((message, *(f"{name}={value}" for name, value in fields.items()))),
        "time": moment,
        "level": kept.level.lower(),
        "logger": kept.logger,
        "message": message,
        "_meta": {"logLevelName": kept.level, "date": moment, "name": _dump({"subsystem": kept.logger})},
        "fields": fields,
    }
    if kept.exception is not None:
        line["exception"] = redact(kept.exception)
    return _dump(line)


def _shown(value: Any) -> Any:
    return value if type(value) in _PLAIN else redact(str(value))[:MAX_FIELD]
