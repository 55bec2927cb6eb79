"""Finds passages of notes by their words: BM25, by SQLite's full-text index, in memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

import msgspec

from app.storage.full_text import any_word, spread
from app.tools.memory.notes import Passage


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
            ((number, spread(one.text), one.path) for number, one in enumerate(self._passages)),
        )

    def search(self, query: str, most: int) -> Sequence[Hit]:
        """The best passages that have any of the query's words, best first."""
        match = any_word(query)
        if not match:
            return []
        rows = self._database.execute(
            "select rowid, bm25(passages, 1.0, 0.5) from passages where passages match ? order by 2 limit ?",
            (match, most),
        ).fetchall()
        return [Hit(self._passages[number], _score(rank)) for number, rank in rows]

    def close(self) -> None:
        self._database.close()


def _score(rank: float) -> float:
    """SQLite's rank is a negative number, smaller for better; as a number from 0 to 1."""
    relevance = max(-rank, 0.0)
    return round(relevance / (1.0 + relevance), 4)
