"""The parts that operations of the document are made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.http.errors import HTTP_ERRORS
from app.http.openapi.message_schemas import ref

COMMON = (401, 403, 404, 405, 429, 500)


def answering(summary: str, name: str, schema: str, statuses: Sequence[int]) -> dict[str, Any]:
    """An operation that answers 200 with that schema, or with one of the errors."""
    answer = {"description": summary, "headers": headers("X-Request-Id"), "content": json_of(schema)}
    return {"summary": summary, "operationId": name, "responses": {"200": answer, **errors(statuses)}}


def errors(statuses: Sequence[int], *names: str) -> dict[str, Any]:
    """The answers with these statuses; `names` are headers that they have besides the usual ones."""
    return {str(status): _error(status, names) for status in statuses}


def _error(status: int, more: Sequence[str]) -> dict[str, Any]:
    codes = sorted({one.code for one in HTTP_ERRORS.values() if one.status == status and one.code})
    kinds = sorted({one.type for one in HTTP_ERRORS.values() if one.status == status})
    description = f"Type {' or '.join(f'`{kind}`' for kind in kinds)}"
    if codes:
        description += f"; code {', '.join(f'`{code}`' for code in codes)}"
    names = ["X-Request-Id", *more]
    if status in (429, 503):
        names.append("Retry-After")
    if status == 401:
        names.append("WWW-Authenticate")
    return {"description": f"{description}.", "headers": headers(*names), "content": json_of("Error")}


def headers(*names: str) -> dict[str, dict[str, str]]:
    """References to the components of these names."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def json_of(schema: str) -> dict[str, Any]:
    """The content of a body that is JSON of that schema."""
    return {"application/json": {"schema": ref(schema)}}
