"""`sessions_search`: finds what was said in conversations."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from msgspec import Meta

from app.sessions.base import SessionStore
from app.tools.base import Invocation, Tool, ToolOutput, define_tool
from app.tools.parameters import Parameters
from app.tools.sessions.rows import as_json
from app.tools.sessions.scope import SessionScope
from app.tools.sessions.text import SafeTexts

DEFAULT_RESULTS, MAX_RESULTS = 10, 25
MAX_SNIPPET = 600  # characters


class SessionsSearch(Parameters):
    query: Annotated[str, Meta(description="Words to look for.", min_length=1, max_length=4096)]
    session_key: Annotated[str, Meta(description="Only in this session.")] | None = None
    limit: Annotated[int, Meta(description="The most results. Default 10.", ge=1, le=MAX_RESULTS)] = (
        DEFAULT_RESULTS
    )


class SessionsSearchTool:
    def __init__(self, store: SessionStore, texts: SafeTexts) -> None:
        self._store, self._texts = store, texts

    def tool(self) -> Tool:
        return define_tool(
            "sessions_search",
            "Search the conversations that you may see by words. Read on with sessions_history.",
            SessionsSearch,
            self._search,
            summary="search conversations",
            is_parallel=True,
            only_reads=True,
            seconds=30.0,
        )

    def _search(self, call: Invocation, given: SessionsSearch) -> ToolOutput:
        scope = SessionScope(call.run, self._store.index)
        where = scope.filter
        if given.session_key:
            where = replace(where, key=scope.session(given.session_key).key)
        found = self._store.search.search(given.query, where, given.limit)
        results = [
            {
                "sessionKey": one.key,
                "sessionId": one.session_id,
                "agentId": one.agent_id,
                "label": one.label,
                "messageId": str(one.number),
                "role": one.role,
                "at": one.created_at,
                "snippet": self._texts.safe(one.snippet, MAX_SNIPPET),
                "score": one.score,
            }
            for one in found
        ]
        return as_json({"count": len(results), "results": results}, "conversations" if results else None)
