"""`sessions_history`: what was said in a conversation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import orjson
from msgspec import Meta

from app.concurrency.fairness import give_way
from app.sessions.base import SessionStore
from app.sessions.rows import TranscriptRow
from app.tools.base import Invocation, Tool, ToolOutput, define_tool
from app.tools.parameters import Parameters
from app.tools.sessions.rows import as_json, dump_message
from app.tools.sessions.scope import SessionScope
from app.tools.sessions.text import SafeTexts

DEFAULT_MESSAGES, MAX_MESSAGES = 50, 1000
MAX_BYTES = 78 * 1024  # of the messages, as JSON: with what is around them less than 80 KB
MAX_READ = 1024 * 1024  # characters of stored messages that are read at once


class SessionsHistory(Parameters):
    session_key: Annotated[str, Meta(description="The session's key, as sessions_list shows it.")]
    limit: Annotated[int, Meta(description="The most messages. Default 50.", ge=1, le=MAX_MESSAGES)] = (
        DEFAULT_MESSAGES
    )
    offset: Annotated[int, Meta(description="How many of the newest messages to skip.", ge=0)] = 0
    pending_before: int | None = None
    message_id: str | None = None
    session_id: str | None = None
    include_tools: Annotated[bool, Meta(description="Also tool calls and their results.")] = False


class SessionsHistoryTool:
    def __init__(self, store: SessionStore, texts: SafeTexts) -> None:
        self._store, self._texts = store, texts

    def tool(self) -> Tool:
        return define_tool(
            "sessions_history",
            "Read the newest messages of a conversation that you may see, oldest first.",
            SessionsHistory,
            self._read,
            summary="read a conversation",
            is_parallel=True,
            only_reads=True,
            max_chars=200_000,
        )

    def _read(self, call: Invocation, given: SessionsHistory) -> ToolOutput:
        session = SessionScope(call.run, self._store.index).session(given.session_key)
        transcripts = self._store.transcripts
        rows = transcripts.page(session.key, given.limit, given.offset, MAX_READ)
        total = rows[-1].seq + given.offset if rows else transcripts.length(session.key)
        newest, seen = self._newest(rows, given.include_tools)
        skipped = given.offset + seen
        answer = {
            "sessionKey": session.key,
            "sessionId": session.session_id,
            "messages": newest[::-1],
            "totalMessages": total,
            "hasMore": skipped < total,
        }
        if skipped < total:
            answer["nextOffset"] = skipped
        own = session.key == call.run.session_key
        return as_json(answer, None if own else f"the conversation {session.key}")

    def _newest(self, rows: Sequence[TranscriptRow], with_tools: bool) -> tuple[list[dict[str, Any]], int]:
        """The newest messages that fit, newest first, and how many of `rows` have been looked at for them."""
        shown: list[dict[str, Any]] = []
        left = MAX_BYTES
        for place, row in enumerate(reversed(rows)):
            give_way()
            message = dump_message(row, self._texts, with_tools=with_tools)
            if message is None:
                continue
            left -= len(orjson.dumps(message)) + 1
            if left < 0 and shown:
                return shown, place
            shown.append(message)
        return shown, len(rows)
