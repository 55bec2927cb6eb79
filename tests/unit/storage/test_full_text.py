"""Words for the full-text index."""

from __future__ import annotations

import pytest

from app.storage.full_text import MAX_WORDS, any_word, spread, unspread, words_of


def test_a_query_has_words_and_nothing_else():
    assert any_word('crane" OR NEAR(x) * -y') == '"crane" OR "OR" OR "NEAR" OR "x" OR "y"'
    assert any_word("  ()*\"' ") == ""
    assert words_of("a b a") == ["a", "b"]
    assert len(words_of(" ".join(str(number) for number in range(100)))) == MAX_WORDS


@pytest.mark.parametrize("text", ["今天天气很好", "plain words", "mixed 今天 text", ""])
def test_texts_without_blanks_come_back_as_they_were(text: str):
    assert unspread(spread(text)).split() == text.split()
