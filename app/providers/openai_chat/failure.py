"""A failure that a provider reports within its answer, after a status that promised success.

OpenAI's form is `{"error": {…}}`. Others send the error's fields without that key, in place of a chunk, or
put them into a choice.
"""

from __future__ import annotations

from typing import Any

_TEXTS = ("message", "msg", "detail", "errors")
_GOOD_CODES = ("", "0", "200", "ok", "success")


def failure_in(chunk: dict[str, Any]) -> object | None:
    """The error that a chunk reports, as an object or a text; None if it reports none."""
    error = chunk.get("error")
    if error is not None and error is not False and error != "":
        inner = error.get("error") if isinstance(error, dict) else None
        return inner if inner and isinstance(inner, dict | str) else error
    choices = chunk.get("choices")
    if isinstance(choices, list) and choices:
        return None  # an error of a choice is found with the choice
    minimax = chunk.get("base_resp")
    if isinstance(minimax, dict) and minimax.get("status_code"):
        return {"message": minimax.get("status_msg"), "code": minimax["status_code"]}
    return chunk if _is_error_object(chunk) else None


def may_explain(chunk: dict[str, Any]) -> bool:
    """Whether this has a message and no choices: the reason if the answer then ends in the middle."""
    return not chunk.get("choices") and any(isinstance(chunk.get(name), str) for name in _TEXTS)


def _is_error_object(chunk: dict[str, Any]) -> bool:
    if chunk.get("object") == "error" or chunk.get("type") == "error" or chunk.get("status") == "error":
        return True
    if "errors" in chunk or "detail" in chunk or chunk.get("success") is False:
        return True
    if not may_explain(chunk):
        return False
    codes = (chunk.get("code"), chunk.get("status_code"))
    if any(isinstance(code, str) and code.lower() not in _GOOD_CODES for code in codes):
        return True
    return any(isinstance(code, int) and code >= 400 for code in (*codes, chunk.get("status")))
