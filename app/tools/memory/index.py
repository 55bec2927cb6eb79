"""Finds passages of notes by their words: BM25, by SQLite's full-text index, in memory."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Sequence

import msgspec

from app.tools.memory.notes import Passage

# Languages written without blanks: each character is a word of its own, and a run of them a phrase.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uac00-\ud7af]+|[^\W_]+", re.UNICODE)
_NO_BLANKS = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uac00-\ud7af]")
MAX_WORDS = 32  # of a query


class Hit(msgspec.Struct, frozen=True):
    """`score` is from 0 to 1, better ones are higher; it compares hits of one query only."""

    passage: Passage
    score: float


class MemoryIndex:
    """Made once for a set of passages; a query takes well under a millisecond."""

    def __init__(self, passages: Iterable[Passage]) -> None:
        self._passages = list(passages)
        self._database = sqlite3.connect(":memory:", check_same_thread=False)
        tokenizer = "porter unicode61 remove_diacritics 2"
        self._database.execute(
            f"create virtual table passages using fts5(text, path, tokenize = '{tokenizer}')"
        )
        self._database.executemany(
            "insert into passages(rowid, text, path) values (?, ?, ?)",
            ((number, _spread(one.text), one.path) for number, one in enumerate(self._passages)),
        )

    def search(self, query: str, most: int) -> Sequence[Hit]:
        """The best passages that have any of the query's words, best first."""
        words = _WORD.findall(query)[:MAX_WORDS]
        if not words:
            return []
        match = " OR ".join(f'"{_spread(word).strip()}"' for word in dict.fromkeys(words))
        rows = self._database.execute(
            "select rowid, bm25(passages, 1.0, 0.5) from passages where passages match ? order by 2 limit ?",
            (match, most),
        ).fetchall()
        return [Hit(self._passages[number], _score(rank)) for number, rank in rows]

    def close(self) -> None:
        self._database.close()


def _spread(text: str) -> str:
    """The text with blanks around each character of a language that has none."""
    return _NO_BLANKS.sub(r" \g<0> ", text)


def _score(rank: float) -> float:
    """SQLite's rank is a negative number, smaller for better; as a number from 0 to 1."""
    relevance = max(-rank, 0.0)
    return round(relevance / (1.0 + relevance), 4)
