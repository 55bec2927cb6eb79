"""What counts as a credential, and as the right one."""

from __future__ import annotations

import time

import pytest

from app.auth.authenticate import bearer_secret, is_gateway_secret
from app.config.settings import AuthSettings


@pytest.mark.parametrize(
    ("header", "secret"),
    [
        ("Bearer abc", "abc"),
        ("bearer abc", "abc"),
        ("BEARER abc", "abc"),
        ("BeArEr abc", "abc"),
        ("  Bearer   abc  ", "abc"),
        ("Bearer\tabc\t", "abc"),
        ("Bearer a b", "a b"),
        ("Bearer Bearer abc", "Bearer abc"),
        (None, None),
        ("", None),
        ("   ", None),
        ("abc", None),
        ("Bearer", None),
        ("Bearer ", None),
        ("Bearer \t ", None),
        ("Bearerabc", None),
        ("Bearer:abc", None),
        ("Basic YWJjOmRlZg==", None),
        ("Token abc", None),
        ("Bearer\u00a0abc", None),
        ("xBearer abc", None),
        ("Basic x, Bearer abc", None),
    ],
)
def test_only_a_bearer_header_has_a_secret(header: str | None, secret: str | None):
    assert bearer_secret(header) == secret


def sent(secret: str, encoding: str) -> str | None:
    """What is presented once the header has come through WSGI, which reads bytes as Latin-1."""
    return bearer_secret("Bearer " + secret.encode(encoding).decode("latin-1"))


@pytest.mark.parametrize("mode", ["token", "password"])
@pytest.mark.parametrize(
    ("secret", "encodings"),
    [
        ("plain-0123456789", ("utf-8", "latin-1")),
        ("schlüssel", ("utf-8", "latin-1")),
        ("voilà", ("utf-8", "latin-1")),  # its last UTF-8 byte is a blank in Latin-1
        ("…so…", ("utf-8",)),
        ("Ångström Å", ("utf-8", "latin-1")),
        ("密码🦞", ("utf-8",)),
    ],
)
def test_the_secret_is_right_in_each_encoding_that_has_it(mode: str, secret: str, encodings: tuple[str, ...]):
    auth = AuthSettings(mode, **{mode: secret})  # type: ignore[arg-type]
    for encoding in encodings:
        presented = sent(secret, encoding)
        assert presented is not None
        assert is_gateway_secret(presented, auth)
        for wrong in (presented + "x", presented[:-1], presented.upper(), "x" + presented):
            assert not is_gateway_secret(wrong, auth)


def test_a_character_that_latin_1_lacks_is_not_matched_by_a_question_mark():
    assert not is_gateway_secret("??", AuthSettings(token="密码"))


@pytest.mark.parametrize(
    ("auth", "presented"),
    [
        (AuthSettings("token", token=None), ""),
        (AuthSettings("token", token=""), ""),
        (AuthSettings("token", token=None), "None"),
        (AuthSettings("token", password="abc"), "abc"),
        (AuthSettings("password", token="abc"), "abc"),
        (AuthSettings("password", token="abc", password="def"), "abc"),
    ],
)
def test_only_the_modes_own_secret_counts(auth: AuthSettings, presented: str):
    assert not is_gateway_secret(presented, auth)


def test_a_header_made_to_be_slow_is_judged_at_once():
    start = time.process_time()
    for header in ("Bearer a" + " " * 100_000 + "b", " " * 100_000, "Bearer" + "\t" * 100_000):
        bearer_secret(header + "\u00a0")
    assert time.process_time() - start < 5
