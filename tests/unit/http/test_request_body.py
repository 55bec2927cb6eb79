"""Bodies are read completely or refused; never cut or guessed."""

from __future__ import annotations

import gzip
import io
from typing import Any

import pytest
from flask import Request

from app.errors import BodyTooLarge, GatewayError, InvalidJson, InvalidRequest, UnsupportedMediaType
from app.http.request_body import MAX_GZIP_MEMBERS, read_json

LIMIT = 100


def request(body: bytes, length: int | None = -1, **environ: str) -> Request:
    """`length` is the Content-Length; None: chunked; -1: the length of `body`."""
    declared = len(body) if length == -1 else length
    if declared is not None:
        environ["CONTENT_LENGTH"] = str(declared)
    return Request({"REQUEST_METHOD": "POST", "wsgi.input": io.BytesIO(body), **environ})


def read(body: bytes, **options: Any) -> dict[str, Any]:
    return read_json(request(body, **options), LIMIT)


def refusal(body: bytes, **options: Any) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        read(body, **options)
    return caught.value


@pytest.mark.parametrize("length", [-1, None])
@pytest.mark.parametrize(
    ("body", "document"),
    [
        (b"{}", {}),
        (b' \r\n{"a": "\xc3\xa4"}\n ', {"a": "ä"}),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (b'{"a": "' + b"x" * (LIMIT - 9) + b'"}', {"a": "x" * (LIMIT - 9)}),
    ],
)
def test_json_objects_are_read(body: bytes, document: Any, length: int | None):
    assert read(body, length=length) == document
    assert read(body, length=length, CONTENT_TYPE="text/plain") == document
    if len(body) < LIMIT:
        assert read(gzip.compress(body), length=length, HTTP_CONTENT_ENCODING="GZip") == document


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" \n",
        b"\xef\xbb\xbf",
        b"{",
        b"nope",
        b'{"a": 1} x',
        b"{}{}",
        b'{"a": "\xff"}',
        b'{"a": "\xc3"}',
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": "\\ud800"}',
        b"{'a': 1}",
        b"[]",
        b'"text"',
        b"5",
        b"null",
        b"a=b&c=d",
        b"[" * 90,
    ],
)
def test_anything_else_is_invalid_json(body: bytes):
    error = refusal(body)
    assert (type(error), error.code) == (InvalidJson, "invalid_json")


@pytest.mark.parametrize("length", [-1, None])
def test_a_body_over_the_limit_is_refused(length: int | None):
    body = b'{"a": "' + b"x" * (LIMIT - 8) + b'"}'
    assert len(body) == LIMIT + 1
    assert type(refusal(body, length=length)) is BodyTooLarge
    assert str(LIMIT) in refusal(body, length=length).message


def test_the_declared_length_is_enough_to_refuse():
    assert type(refusal(b"", length=LIMIT + 1)) is BodyTooLarge


def test_a_body_shorter_than_declared_is_refused_though_it_parses():
    assert type(refusal(b"{}", length=3)) is InvalidRequest


@pytest.mark.parametrize(
    ("encoding", "body", "expected"),
    [
        ("gzip", gzip.compress(b'{"a": "' + b"x" * LIMIT + b'"}'), BodyTooLarge),
        ("gzip", gzip.compress(b" " * 10_000_000)[:LIMIT], BodyTooLarge),
        ("gzip", gzip.compress(b'{"a": 1}')[:-4], InvalidRequest),
        ("gzip", b'{"a": 1}', InvalidRequest),
        ("gzip", b"", InvalidRequest),
        ("br", b"{}", UnsupportedMediaType),
        ("deflate", b"{}", UnsupportedMediaType),
        ("gzip, gzip", b"{}", UnsupportedMediaType),
    ],
)
def test_encodings(encoding: str, body: bytes, expected: type[GatewayError]):
    assert type(refusal(body, HTTP_CONTENT_ENCODING=encoding)) is expected


def read_gzip(*members: bytes) -> dict[str, Any]:
    body = b"".join(map(gzip.compress, members))
    return read_json(request(body, HTTP_CONTENT_ENCODING="gzip"), 10_000)


def test_a_gzip_body_of_several_members_is_read_whole():
    assert read_gzip(b'{"a":', b"", b" 1", b"}") == {"a": 1}
    padded = gzip.compress(b'{"a": 1}') + bytes(9)
    assert read(padded, HTTP_CONTENT_ENCODING="gzip") == {"a": 1}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (gzip.compress(b'{"a": "') + gzip.compress(b"x" * LIMIT + b'"}'), BodyTooLarge),
        (gzip.compress(b"{}") + gzip.compress(b" " * 10_000_000)[: LIMIT // 2], BodyTooLarge),
        (gzip.compress(b'{"a": ') + gzip.compress(b"1}")[:-4], InvalidRequest),
        (gzip.compress(b"{}") + b"{}", InvalidRequest),
        (gzip.compress(b"{}") + gzip.compress(b"{}"), InvalidJson),
    ],
)
def test_gzip_bodies_of_several_members_are_held_to_the_limits(body: bytes, expected: type[GatewayError]):
    assert type(refusal(body, HTTP_CONTENT_ENCODING="gzip")) is expected


def test_a_gzip_body_has_a_bounded_number_of_members():
    nothing = [b""] * (MAX_GZIP_MEMBERS - 1)
    assert read_gzip(b"{}", *nothing) == {}
    with pytest.raises(InvalidRequest, match="members"):
        read_gzip(b"{}", b"", *nothing)


class Breaks(io.BytesIO):
    def read(self, *_: Any) -> bytes:
        raise ConnectionResetError


def test_a_broken_connection_is_an_invalid_request():
    broken = Request({"REQUEST_METHOD": "POST", "CONTENT_LENGTH": "5", "wsgi.input": Breaks()})
    with pytest.raises(InvalidRequest):
        read_json(broken, LIMIT)
