"""Which requests are the same, and what their keys hold for."""

from __future__ import annotations

import pytest

from app.errors import UnsupportedValue
from app.runs.idempotency import MAX_KEY, body_hash, check_key, key_id, run_id_key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b'{"a":1,"b":[1,2]}', b'{ "b": [1, 2], "a": 1 }'),
        (b'{"a":1}', b'{"a":1,"stream":true,"stream_options":{"include_usage":true}}'),
        (b'{"a":{"x":1,"y":2}}', b'{"a":{"y":2,"x":1}}'),
        (b"not json", b"not json"),
        (b'{"a":"\\u00e9"}', '{"a":"é"}'.encode()),
    ],
)
def test_the_same_request(one: bytes, other: bytes) -> None:
    assert body_hash(one) == body_hash(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b'{"a":1}', b'{"a":2}'),
        (b'{"a":[1,2]}', b'{"a":[2,1]}'),
        (b'{"a":1}', b'{"a":"1"}'),
        (b'{"a":null}', b"{}"),
        (b'{"a":{"stream":true}}', b'{"a":{}}'),
        (b"[1]", b"[2]"),
        (b'{"a":"\\ud800"}', b'{"a":"\\ud801"}'),
        (b'{"a":' + b"[" * 400 + b"1" + b"]" * 400 + b"}", b'{"a":' + b"[" * 400 + b"2" + b"]" * 400 + b"}"),
    ],
)
def test_another_request(one: bytes, other: bytes) -> None:
    assert body_hash(one) != body_hash(other)


def test_what_headers_choose_belongs_to_it() -> None:
    body = b'{"a":1}'
    assert body_hash(body, "main", None) == body_hash(body, "main", None)
    assert (
        len({body_hash(body, *one) for one in ((), ("main",), ("main", None), ("main", "x"), (None,))}) == 5
    )


def test_what_a_key_holds_for() -> None:
    cases = [
        ("k", None, "/v1", None),
        ("k", "ann", "/v1", None),
        ("k", None, "/v2", None),
        ("k", None, "/v1", "agent:main:x"),
        ("k2", None, "/v1", None),
        ("k", "None", "/v1", None),
    ]
    assert len({key_id(*one) for one in cases}) == len(cases)


def test_keys_of_runs_by_their_id() -> None:
    one = run_id_key("r\ud800\n", "ann", "agent:main:x", "hi")
    assert one.is_run_id
    assert one == run_id_key("r\ud800\n", "ann", "agent:main:x", "hi")
    assert one.id == run_id_key("r\ud800\n", "ann", "agent:main:y", "hi").id
    assert one.body_hash != run_id_key("r\ud800\n", "ann", "agent:main:y", "hi").body_hash


@pytest.mark.parametrize("key", ["x", "x" * MAX_KEY, "!~", '"quoted"'])
def test_keys(key: str) -> None:
    assert check_key(key, "Idempotency-Key") == key


@pytest.mark.parametrize("key", ["", " ", "a b", "a\tb", "é", "\x7f", "x" * (MAX_KEY + 1)])
def test_what_is_no_key(key: str) -> None:
    with pytest.raises(UnsupportedValue) as refused:
        check_key(key, "Idempotency-Key")
    assert refused.value.param == "Idempotency-Key"
