"""A failure that a provider reports within its answer, after a status that promised success.

OpenAI's form is `{"error": {…}}`. Others send the error's fields without that key, in place of a chunk, put
them into a choice, or have a word of their own for it: `error_msg`, `Error`, `throttlingException`.
"""

from __future__ import annotations

from typing import Any

from app.providers.http.error_message import ERROR_NAME

ERROR_KEYS = frozenset(("error", "base_resp", "x_groq"))  # a chunk of an answer may report a failure in them
_TEXTS = ("message", "msg", "detail", "errors")
_GOOD_CODES = ("", "0", "200", "ok", "success")
_BAD_WORDS = ("error", "failed", "failure", "response.failed")


def failure_in(chunk: dict[str, Any]) -> object | None:
    """The error that a chunk reports, as an object or a text; None if it reports none."""
    error = chunk.get("error")
    if error is not None and error is not False and error != "":
        inner = error.get("error") if isinstance(error, dict) else None
        return inner if inner and isinstance(inner, dict | str) else error
    minimax, groq = chunk.get("base_resp"), chunk.get("x_groq")
    if isinstance(minimax, dict) and minimax.get("status_code"):
        return {"message": minimax.get("status_msg"), "code": minimax["status_code"]}
    if isinstance(groq, dict) and groq.get("error"):
        return {"error": groq["error"]}
    choices = chunk.get("choices")
    if isinstance(choices, list) and choices:
        return None  # an error of a choice is found with the choice
    return chunk if _is_error_object(chunk) or any(map(_is_inner_error, chunk.values())) else None


def may_explain(chunk: dict[str, Any]) -> bool:
    """Whether this has a message and no choices: the reason if the answer then ends in the middle."""
    return not chunk.get("choices") and any(isinstance(chunk.get(name), str) for name in _TEXTS)


def _is_error_object(chunk: dict[str, Any]) -> bool:
    words = (chunk.get("object"), chunk.get("type"), chunk.get("status"))
    if any(isinstance(word, str) and word.lower() in _BAD_WORDS for word in words):
        return True
    if chunk.get("detail") or chunk.get("success") is False or "__type" in chunk:
        return True
    return any(_says_error(name, value) for name, value in chunk.items()) or _has_bad_code(chunk)


def _is_inner_error(value: object) -> bool:
    """Whether what some servers put around an error has one in it: `{"Response": {"Error": …}}`."""
    if not isinstance(value, dict) or "error" in value:
        return False  # Azure has an `error` where a filter of it did not work
    return "__type" in value or any(_says_error(*one) for one in value.items()) or _has_bad_code(value)


def _says_error(name: str, value: object) -> bool:
    if not value or not ERROR_NAME.search(name):
        return False
    return not isinstance(value, str | int) or str(value).lower() not in _GOOD_CODES


def _has_bad_code(fields: dict[str, Any]) -> bool:
    if not may_explain(fields):
        return False
    codes = [fields.get(name) for name in ("code", "status_code", "statusCode", "retcode")]
    if any(isinstance(code, str) and code.lower() not in _GOOD_CODES for code in codes):
        return True
    codes.append(_number(fields.get("status")))
    return any(isinstance(code, int) and (code >= 400 or code < 0) for code in codes)


def _number(status: object) -> object:
    return int(status) if isinstance(status, str) and status.isdecimal() and len(status) < 10 else status
