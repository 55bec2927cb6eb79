"""The session store: one part for each of the protocols in `app.sessions.base`, all on the same database."""

from __future__ import annotations

from app.sessions.copies import SqlSessionCopies
from app.sessions.index import SqlSessionIndex
from app.sessions.maintenance import SqlMaintenance
from app.sessions.outcomes import SqlRunOutcomes
from app.sessions.pages import SqlSessionPages
from app.sessions.run_index import SqlRunIndex
from app.sessions.run_store import SqlRunStore
from app.sessions.search import SqlSessionSearch
from app.sessions.transcripts import SqlTranscripts
from app.sessions.usage import SqlUsageReader
from app.storage.base import Database, Worker


class SqlSessionStore:
    """Implements `SessionStore`. Building it opens nothing."""

    def __init__(self, database: Database, worker: Worker) -> None:
        self.runs = SqlRunStore(database, worker)
        self.run_index = SqlRunIndex(database)
        self.outcomes = SqlRunOutcomes(database, worker)
        self.index = SqlSessionIndex(database)
        self.transcripts = SqlTranscripts(database, worker)
        self.pages = SqlSessionPages(database)
        self.copies = SqlSessionCopies(database, worker)
        self.search = SqlSessionSearch(database)
        self.usage = SqlUsageReader(database)
        self.maintenance = SqlMaintenance(database, worker)
