"""Words for SQLite's full-text index (FTS5): of what is searched, and of what is searched for. Pure."""

from __future__ import annotations

import re

# Languages written without blanks: each character is a word of its own, and a run of them a phrase.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uac00-\ud7af]+|[^\W_]+", re.UNICODE)
_NO_BLANKS = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uac00-\ud7af]")
_PUT_IN = re.compile(rf"(?<={_NO_BLANKS.pattern}) | (?={_NO_BLANKS.pattern})")
MAX_WORDS = 32  # of a query


def words_of(query: str) -> list[str]:
    """The words of a query, each once; the first MAX_WORDS of them."""
    return list(dict.fromkeys(_WORD.findall(query)[:MAX_WORDS]))


def any_word(query: str) -> str:
    """What to MATCH for texts that have any word of the query; empty if it has none."""
    return " OR ".join(f'"{spread(word).strip()}"' for word in words_of(query))


def spread(text: str) -> str:
    """The text with blanks around each character of a language that has none."""
    return _NO_BLANKS.sub(r" \g<0> ", text)


def unspread(text: str) -> str:
    """The text without the blanks that `spread` has put in."""
    return _PUT_IN.sub("", text)
