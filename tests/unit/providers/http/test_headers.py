from __future__ import annotations

import pytest

from app.providers.http.headers import merge_headers


def test_each_header_is_sent_once_and_the_last_one_counts():
    ours = {"User-Agent": "gateway", "Accept": "text/event-stream"}
    merged = merge_headers(ours, {"user-agent": "corp", "x-team": "a"}, {"ACCEPT": "*/*"})
    assert list(merged.values()) == [("user-agent", "corp"), ("ACCEPT", "*/*"), ("x-team", "a")]


@pytest.mark.parametrize("value", ["a\r\nb: c", "a\nb", "a\0", "\x7f"])
def test_a_header_of_more_than_one_line_is_never_sent(value: str):
    with pytest.raises(ValueError, match="control character"):
        merge_headers({"x": value})
    with pytest.raises(ValueError, match="control character"):
        merge_headers({value: "x"})
