"""The one reader of request bodies (docs/http.md#the-request).

Werkzeug silently cuts a chunked body at its limit, and gunicorn passes on one that ended early as if it were
complete; so every route that takes a body reads it here.
"""

from __future__ import annotations

import zlib
from typing import Any

import orjson
from flask import Request
from gunicorn.http.body import LengthReader
from gunicorn.http.errors import ParseException

from app.concurrency.deadline import time_limit
from app.concurrency.fairness import give_way
from app.errors import BodyTimeout, BodyTooLarge, InvalidJson, InvalidRequest, UnsupportedMediaType
from app.json_values import TooManyValues, check_values

READ_BYTES = 64 * 1024
READ_SECONDS = 15.0
MAX_GZIP_MEMBERS = 100  # what follows a member is copied each time
KNOWN_BODY = "openclaw.body"  # in the WSGI environment: a body that has been read, decompressed
BOM = b"\xef\xbb\xbf"


def read_json(request: Request, limit: int) -> dict[str, Any]:
    """The JSON object in the body, at most `limit` bytes. Raises as `read_body` and `parse_object` do."""
    return parse_object(read_body(request, limit))


def optional_object(request: Request, limit: int) -> dict[str, Any]:
    """The same; an empty one if there is no body."""
    body = read_body(request, limit)
    return parse_object(body) if body.strip() else {}


def parse_object(body: bytes) -> dict[str, Any]:
    """The JSON object in `body`. Raises InvalidJson for anything else."""
    document = parse_json(body)
    if not isinstance(document, dict):
        raise InvalidJson("The request body must be a JSON object.")
    return document


def parse_json(body: bytes) -> Any:
    """The JSON value in `body`. Raises InvalidJson."""
    body = body.removeprefix(BOM)
    if not body.strip():
        raise InvalidJson("The request body is empty; it must be a JSON object.")
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidJson(f"The request body is not valid JSON: {_where(error)}.") from error


def read_body(request: Request, limit: int) -> bytes:
    """As `read_raw_body`, for JSON in one piece. Raises BodyTooLarge also for JSON with too many values."""
    body = read_raw_body(request, limit)
    try:
        check_values(body)
    except TooManyValues as error:
        raise BodyTooLarge(f"The request body has {error}.") from error
    return body


def read_raw_body(request: Request, limit: int) -> bytes:
    """The whole body, decompressed, at most `limit` bytes.

    Raises BodyTooLarge, BodyTimeout (no byte for READ_SECONDS), InvalidRequest (it ended early, or is badly
    chunked) and UnsupportedMediaType (an unknown Content-Encoding).
    """
    encoding: str = request.environ.get("HTTP_CONTENT_ENCODING", "identity").strip().lower()
    if encoding not in ("identity", "", "gzip", "x-gzip"):
        raise UnsupportedMediaType(f"Content-Encoding {encoding[:40]!r} is not supported; use gzip or none.")
    length = request.content_length
    if length is not None and length > limit:
        raise _too_large(limit)
    known: bytes | None = request.environ.get(KNOWN_BODY)
    if known is not None:
        if len(known) > limit:
            raise _too_large(limit)
        return known
    body = _read(request, length, limit)
    if "gzip" in encoding:
        body = _gunzip(body, limit)
    return body


def _read(request: Request, length: int | None, limit: int) -> bytes:
    source = request.environ["wsgi.input"]
    pieces: list[bytes] = []
    size = 0
    while length is None or size < length:
        wanted = min(READ_BYTES, (limit + 1 if length is None else length) - size)
        piece = _read_some(source, wanted)
        if not piece:
            break
        pieces.append(piece)
        size += len(piece)
        if size > limit:
            raise _too_large(limit)
    if length is not None and size < length:
        raise InvalidRequest(f"The request body ended after {size} of {length} bytes.")
    return b"".join(pieces)


def _read_some(source: Any, wanted: int) -> bytes:
    if _is_buffered(source, wanted):
        return bytes(source.read(wanted))
    late = BodyTimeout(f"The request body stalled for {READ_SECONDS:g} s.")
    with time_limit(READ_SECONDS, late):
        try:
            return bytes(source.read(wanted))
        except (OSError, EOFError, ParseException) as error:
            raise InvalidRequest("The request body is broken off or badly chunked.") from error


def _is_buffered(source: Any, wanted: int) -> bool:
    """Whether gunicorn has read that much along with the headers. Then reading cannot block, and setting up a
    time limit, which costs more than the read itself, is left out.

    gunicorn's readers are not a public interface; tests/unit/http/test_http_library_contracts.py
    tests what is used.
    """
    reader = getattr(source, "reader", None)
    return isinstance(reader, LengthReader) and reader.unreader.buf.tell() >= wanted


def _gunzip(body: bytes, limit: int) -> bytes:
    """The text of all members of the gzip file (RFC 1952, section 2.2); zeros may follow them, as padding."""
    members: list[bytes] = []
    rest = body
    while rest or not members:
        if len(members) == MAX_GZIP_MEMBERS:
            raise InvalidRequest(f"The gzip request body has more than {MAX_GZIP_MEMBERS} members.")
        text, rest = _gunzip_member(rest, limit - sum(map(len, members)), limit)
        members.append(text)
        give_way()
        if rest.startswith(b"\0"):
            rest = rest.lstrip(b"\0")
    return b"".join(members)


def _gunzip_member(body: bytes, room: int, limit: int) -> tuple[bytes, bytes]:
    """The text of the first member, and what follows it."""
    decoder = zlib.decompressobj(wbits=31)
    try:
        text = decoder.decompress(body, room + 1)
    except zlib.error as error:
        raise InvalidRequest("The request body is not valid gzip.") from error
    if len(text) > room:
        raise _too_large(limit)
    if not decoder.eof:
        raise InvalidRequest("The gzip request body is not complete.")
    return text, decoder.unused_data


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(
        f"The request body is larger than {limit} bytes "
        "(gateway.http.endpoints.chatCompletions.maxBodyBytes)."
    )


def _where(error: orjson.JSONDecodeError) -> str:
    return f"{error.msg} (line {error.lineno}, column {error.colno})"
