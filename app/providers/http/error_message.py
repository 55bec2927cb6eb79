"""What the body of a provider's error says, in whichever of the many forms it is written.

OpenAI's is `{"error": {"message": …, "type": …, "code": …}}`. Others send a list of those (Gemini), `detail`
as text or as a list of `{loc, msg}` (FastAPI), the reason of a server behind them in `metadata.raw`
(OpenRouter), `msg`, `errors`, a title and a detail (RFC 9457), any of these in capitals or within another
object, JSON within a text, JSON with a line of help behind it, a server-sent event, or plain text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, cast

from app.providers.http.retry_after import MAX_SECONDS

MAX_DEPTH = 8  # of objects, lists and texts with JSON, one within the other
MAX_REASONS = 5  # of a list
MAX_KIND = 500  # characters

ERROR_NAME = re.compile(r"error|exception|(?<!de)fault|^err$|^errmsg$", re.IGNORECASE)  # of a field

# Names of fields as `_plain` has them.
_AROUND = ("response", "output", "header", "head", "baseresp", "data", "result", "innererror", "cause")
_NESTED = ("error", "errors", "detail", "details", "message", "msg", "fault", "exception", *_AROUND)
_REASONS = (
    *("message", "msg", "detail", "errormessage", "errormsg", "errmsg", "errordescription", "statusmsg"),
    *("error", "errors", "err", "description", "faultstring", "fault", "exception", "reason", "title"),
    *("statustext", "statusmessage", "text", "details", *_AROUND),
)
_KINDS = ("code", "type", "status", "errortype", "errorcode", "reason")
_STATUSES = ("status", "code", "statuscode")
_CUT_REASON = re.compile(r'"(?:message|msg|detail|error)"\s*:\s*("(?:[^"\\]|\\.)+")')
_QUOTED_REASON = re.compile(r"'(?:message|msg|detail|error)'\s*:\s*'((?:[^'\\]|\\.)+)'")  # by Python's repr
_MARKUP = re.compile(r'[<{]|\[\s*[\[{"]')  # how web pages and JSON begin
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_DECODER = json.JSONDecoder(strict=False)


class ErrorText(NamedTuple):
    """`kind` is what the body has for its type, code and status, in lower case, with blanks between them.

    `message` is "" if it has none and no code in words either; `status` is an HTTP status within the body,
    `retry_after` the seconds to wait that it names (Google's `RetryInfo`).
    """

    message: str
    kind: str = ""
    status: int | None = None
    retry_after: float | None = None


def read_error_body(body: bytes, content_type: str | None) -> ErrorText:
    """What `body` says. Text that is not JSON counts only with a `content_type`, and never a web page."""
    text = body.decode("utf-8", "replace").removeprefix("\ufeff").strip()
    document = _parse(_first_data(text))
    if document is not None:
        return read_error(document)
    if text.startswith(("{", "[")):
        if found := _CUT_REASON.search(text):
            return ErrorText(_one_line(str(_parse(found[1]) or "")))
        if found := _QUOTED_REASON.search(text):
            return ErrorText(_one_line(found[1]))
    return ErrorText(_one_line(text) if _is_plain_text(text, content_type or "") else "")


def read_error(document: object) -> ErrorText:
    """What a JSON document says that is an error, or has one in it."""
    kinds: list[str] = []
    statuses: list[int] = []
    pauses: list[float] = []
    for fields in _objects(document, MAX_DEPTH):
        kinds += [str(fields[key]) for key in _KINDS if isinstance(fields.get(key), str | int)]
        statuses += [status for key in _STATUSES if (status := _status(fields.get(key)))]
        pauses += [pause for key in _PAUSES if (pause := _seconds(fields.get(key))) is not None]
    words = (kind for kind in kinds if any(map(str.isalpha, kind)))
    message = _one_line(_reason(document, MAX_DEPTH)) or _one_line(next(words, ""))
    kind = " ".join(kinds)[:MAX_KIND].lower()
    return ErrorText(message, kind, next(iter(statuses), None), next(iter(pauses), None))


def _objects(document: object, depth: int) -> Iterator[Mapping[str, Any]]:
    """The objects that describe the error, the innermost first."""
    if isinstance(document, list) and depth:
        for one in document[:MAX_REASONS]:
            yield from _objects(one, depth - 1)
    elif isinstance(document, dict) and depth:
        fields = _plain(document)
        for key in _NESTED:
            yield from _objects(fields.get(key), depth - 1)
        yield fields


def _plain(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields by their names in lower case without `_` and `-`; of two with one name, the first that says
    anything."""
    plain: dict[str, Any] = {}
    for name, value in fields.items():
        key = name.lower().replace("_", "").replace("-", "")
        plain[key] = plain.get(key) or value
    return plain


def _reason(document: object, depth: int) -> str:
    if not depth:
        return ""
    if isinstance(document, str):
        inner = document.strip()
        return (_reason(_parse(inner), depth - 1) if inner.startswith(("{", "[")) else "") or document
    if isinstance(document, list):
        reasons = [_reason(one, depth - 1) for one in document[:MAX_REASONS]]
        return "; ".join(filter(None, reasons))
    if not isinstance(document, dict):
        return ""
    fields = _plain(document)
    if isinstance(error := fields.get("error"), dict) and (inner := _reason(error, depth - 1)):
        return inner
    found = (_reason(fields.get(key), depth - 1) for key in _REASONS)
    if not (reason := next(filter(None, found), "")):
        return _otherwise(document, depth)
    return _with_place(reason, fields.get("loc")) + _behind(fields.get("metadata"), depth)


def _otherwise(fields: dict[str, Any], depth: int) -> str:
    """The reason in an object that has it under a name of its own, such as `throttlingException` or the name
    of the field that is wrong."""
    named = [(key, value) for key, value in fields.items() if ERROR_NAME.search(key)]
    if not named and fields and all(isinstance(value, list) for value in fields.values()):
        reasons = ((key, _reason(value, depth - 1)) for key, value in [*fields.items()][:MAX_REASONS])
        return "; ".join(f"{key}: {reason}" for key, reason in reasons if reason)
    found = (_reason(value, depth - 1) for key, value in named if isinstance(value, dict | list))
    metadata = fields.get("metadata")
    return next(filter(None, found), "") or (
        _reason(metadata, depth - 1) if isinstance(metadata, dict) else ""
    )


def _with_place(reason: str, place: object) -> str:
    """FastAPI's `loc` in front: `["body", "messages", 0]` as `messages.0: …`."""
    parts = [str(part) for part in place] if isinstance(place, list) else []
    where = ".".join(parts[1:] if parts[:1] == ["body"] else parts)
    return f"{where}: {reason}" if where else reason


def _behind(metadata: object, depth: int) -> str:
    """What the server behind OpenRouter said; OpenRouter's own message is "Provider returned error"."""
    if not isinstance(metadata, dict) or not (raw := _reason(metadata.get("raw"), depth - 1)):
        return ""
    name = metadata.get("provider_name")
    return f" ({name}): {raw}" if isinstance(name, str) else f": {raw}"


def _status(value: object) -> int | None:
    """An HTTP status of an error, also as text."""
    if isinstance(value, str) and re.fullmatch("[45][0-9]{2}", value.strip()):
        return int(value)
    return value if type(value) is int and 400 <= value < 600 else None


_PAUSES = ("retrydelay", "retryafter")


def _seconds(value: object) -> float | None:
    """A pause as a number of seconds, or as Google writes it: `36.1s`, `{"seconds": 36}`."""
    if isinstance(value, dict):
        value = value.get("seconds")
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?s?", value.strip()):
        value = float(value.strip().removesuffix("s"))
    if type(value) is int or type(value) is float:
        return min(float(value), MAX_SECONDS) if value >= 0 else None
    return None


def _first_data(text: str) -> str:
    """The JSON of a body that some servers send as a server-sent event, though it is an error."""
    if not text.startswith(("data:", "event:", "id:", ":")):
        return text
    lines = [line[5:].strip() for line in text.splitlines() if line.startswith("data:")]
    return lines[0] if lines else ""


def _parse(text: str) -> object | None:
    """The object or list that `text` begins with, or the string that it is; None if it is something else."""
    try:
        if text.startswith(("{", "[")):
            return cast("object", _DECODER.raw_decode(text)[0])
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, str) else None


def _is_plain_text(text: str, content_type: str) -> bool:
    """Whether to show a body that is not JSON: it has words, and is no web page, no cut JSON, not binary."""
    has_words = any(map(str.isalpha, text)) and text not in ("null", "true", "false")
    return bool(content_type) and has_words and "\ufffd" not in text and not _MARKUP.match(text)


def _one_line(text: str) -> str:
    """`text` without line breaks, control characters and half surrogates."""
    return " ".join(_CONTROL.sub(" ", text).split())
