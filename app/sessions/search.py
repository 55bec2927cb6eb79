"""Finds messages in stored conversations by their words (docs/tools.md#sessions).

There is no index that each stored message would have to pay for. A search looks through the newest messages
for those that have any of the words, and ranks what it has found by BM25 (SQLite's FTS5, in memory). All of
it happens in the database's thread for long reads.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, or_, select

from app.sessions.filters import filtered
from app.sessions.rows import FoundMessage, SessionFilter
from app.storage.base import Database
from app.storage.columns import stored_size
from app.storage.full_text import any_word, spread, unspread, words_of
from app.storage.message_json import load_message
from app.storage.tables import messages, sessions

MAX_SESSIONS = 1000  # the newest ones are looked through
MAX_MESSAGES = 50_000  # of them, the newest
MAX_CANDIDATES = 2000  # messages with any of the words, which are ranked
MAX_CONTENT = 64 * 1024  # characters; a longer message, mostly a picture, is not looked at
MAX_TEXT = 20_000  # characters of a message that are ranked
SNIPPET_WORDS = 24


class SqlSessionSearch:
    """Implements `SessionSearch`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def search(self, query: str, where: SessionFilter, most: int) -> list[FoundMessage]:
        """The best `most` messages of user and assistant with any of the words, best first."""
        words = words_of(query)
        if not words:
            return []
        newest = filtered(where, select(sessions.c.id)).order_by(sessions.c.updated_at.desc())
        looked_at = (
            select(messages.c.id, messages.c.session, messages.c.role, messages.c.content)
            .add_columns(messages.c.created_at)
            .where(
                messages.c.session.in_(newest.limit(MAX_SESSIONS)),
                messages.c.role.in_(("user", "assistant")),
                messages.c.replaced_by.is_(None),
                stored_size(messages.c.content) <= MAX_CONTENT,
            )
            .order_by(messages.c.id.desc())
            .limit(MAX_MESSAGES)
            .subquery()
        )
        candidates = (
            select(looked_at, sessions.c.key, sessions.c.session_id, sessions.c.agent_id, sessions.c.label)
            .join(sessions, sessions.c.id == looked_at.c.session)
            .where(or_(*(_has(looked_at.c.content, word) for word in words)))
            .limit(MAX_CANDIDATES)
        )

        def work(connection: Connection) -> list[FoundMessage]:
            with connection.execute(candidates) as rows:
                return _best(rows, any_word(query), most)

        return self._database.scan(work)


def _has(column: ColumnElement[str], word: str) -> ColumnElement[bool]:
    """Whether the word is in there, in any case; SQLite itself knows the two cases of ASCII letters alone."""
    spellings = {word} if word.isascii() else {word, word.lower(), word.upper(), word.capitalize()}
    return or_(*(column.icontains(one, autoescape=True) for one in spellings))


def _best(rows: Iterable[Row[Any]], match: str, most: int) -> list[FoundMessage]:
    by_number: dict[int, Row[Any]] = {}
    with closing(sqlite3.connect(":memory:")) as index:
        index.execute(
            "create virtual table found using fts5(text, tokenize = 'porter unicode61 remove_diacritics 2')"
        )
        for row in rows:
            by_number[row.id] = row
            text = load_message(row.role, row.content).text[:MAX_TEXT]
            index.execute("insert into found(rowid, text) values (?, ?)", (row.id, spread(text)))
        best = index.execute(
            "select rowid, bm25(found), snippet(found, 0, '', '', '…', ?) from found where found match ? "
            "order by 2, 1 desc limit ?",
            (SNIPPET_WORDS, match, most),
        ).fetchall()
    return [_found(by_number[number], rank, snippet) for number, rank, snippet in best]


def _found(row: Row[Any], rank: float, snippet: str) -> FoundMessage:
    relevance = max(-rank, 0.0)  # SQLite's rank is negative, smaller for better
    return FoundMessage(
        row.key,
        row.session_id,
        row.agent_id,
        row.label,
        row.id,
        row.role,
        row.created_at,
        " ".join(unspread(snippet).split()),
        round(relevance / (1.0 + relevance), 4),
    )
