"""`sessions_list`: which conversations there are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Annotated, Any, Literal

from msgspec import Meta

from app.clock import now_ms
from app.concurrency.fairness import give_way
from app.config.settings import Settings
from app.sessions.base import SessionStore
from app.sessions.rows import SessionFilter, StoredSession
from app.tools.base import Invocation, Tool, ToolOutput, define_tool
from app.tools.parameters import Parameters
from app.tools.sessions.host import SessionHost
from app.tools.sessions.rows import as_json, dump_message, dump_session, is_subagent, kind_of, those_that_fit
from app.tools.sessions.scope import SessionScope
from app.tools.sessions.text import SafeTexts

DEFAULT_ROWS, MAX_ROWS = 100, 200
MAX_BYTES = 60 * 1024  # of the rows, as JSON: with what is around them less than 64 KiB
MAX_LOOKED_AT = 5000  # sessions
MAX_MESSAGES = 20  # of each session
PAGE = 200

Kind = Literal["main", "group", "cron", "hook", "node", "other"]


class SessionsList(Parameters):
    kinds: Annotated[list[Kind], Meta(description="Only these kinds.")] | None = None
    limit: Annotated[int, Meta(description="The most sessions, up to 200. Default 100.", ge=1)] | None = None
    offset: Annotated[int, Meta(description="How many to skip.", ge=0)] = 0
    active_minutes: Annotated[int, Meta(description="Only those used so lately.", ge=1)] | None = None
    active_only: Annotated[bool, Meta(description="Only those with work going on.")] = False
    exclude_subagents: Annotated[bool, Meta(description="Without sub-agents.")] = False
    relationship: Literal["owned", "created", "involving"] | None = None
    owner_id: str | None = None
    creator_id: str | None = None
    project_id: str | None = None
    workspace_dir: str | None = None
    group: str | None = None
    pinned: bool | None = None
    message_limit: Annotated[int, Meta(description="So many newest messages of each.", ge=0)] = 0
    label: str | None = None
    agent_id: str | None = None
    search: Annotated[str, Meta(description="A part of the key, the label or the id.")] | None = None
    archived: bool | Literal["all"] = False
    include_derived_titles: bool = False
    include_last_message: bool = False


class SessionsListTool:
    def __init__(
        self, settings: Callable[[], Settings], store: SessionStore, host: SessionHost, texts: SafeTexts
    ) -> None:
        self._settings, self._store, self._host, self._texts = settings, store, host, texts

    def tool(self) -> Tool:
        return define_tool(
            "sessions_list",
            "List conversations that you may see, the ones used last first, with their keys.",
            SessionsList,
            self._list,
            summary="list conversations",
            is_parallel=True,
            only_reads=True,
            max_chars=200_000,
        )

    def _list(self, call: Invocation, given: SessionsList) -> ToolOutput:
        limit = min(given.limit or DEFAULT_ROWS, MAX_ROWS)
        main_key = call.run.settings().session.main_key
        where = _filter(SessionScope(call.run, self._store.index).filter, given)
        found: list[StoredSession] = []
        skipped, more = 0, False
        for session in self._matching(where, given, main_key):
            if skipped < given.offset:
                skipped += 1
            elif len(found) < limit:
                found.append(session)
            else:
                more = True
                break
        rows = those_that_fit([self._row(one, given, main_key) for one in found], MAX_BYTES)
        more = more or len(rows) < len(found)
        answer = {"count": len(rows), "sessions": rows, "hasMore": more, "limitApplied": limit}
        if more:
            answer["nextOffset"] = given.offset + len(rows)
        return as_json(answer, "titles and texts of conversations" if _has_texts(given) else None)

    def _matching(self, where: SessionFilter, given: SessionsList, main_key: str) -> Iterator[StoredSession]:
        for offset in range(0, MAX_LOOKED_AT, PAGE):
            page = self._store.index.sessions(PAGE, offset, where)
            for session in page:
                give_way()
                if self._matches(session, given, main_key):
                    yield session
            if len(page) < PAGE:
                return

    def _matches(self, session: StoredSession, given: SessionsList, main_key: str) -> bool:
        pinned = bool(session.settings.get("pinned"))
        archived = bool(session.settings.get("archived")) or self._is_archived(session)
        return not (
            (given.archived != "all" and archived != given.archived)
            or (given.pinned is not None and pinned != given.pinned)
            or (given.exclude_subagents and is_subagent(session.key))
            or (given.kinds and kind_of(session.key, main_key) not in given.kinds)
            or (given.active_only and not self._host.is_active(session.key))
        )

    def _is_archived(self, session: StoredSession) -> bool:
        """Whether it is that of a sub-agent that has not worked for `archiveAfterMinutes`."""
        if not is_subagent(session.key):
            return False
        settings = self._settings()
        agent = settings.agent(session.agent_id) or settings.default_agent
        minutes = agent.subagents.archive_after_minutes
        return 0 < minutes * 60_000 < now_ms() - session.updated_at

    def _row(self, session: StoredSession, given: SessionsList, main_key: str) -> dict[str, Any]:
        give_way()
        if given.include_derived_titles or given.include_last_message:
            session = self._store.index.describe(session.key) or session
        row = dump_session(session, self._host, main_key)
        for name, wanted in (
            ("derivedTitle", given.include_derived_titles),
            ("lastMessage", given.include_last_message),
        ):
            if name in row:
                row[name] = self._texts.safe(row[name])
                if not wanted:
                    del row[name]
        if given.message_limit:
            newest = self._store.transcripts.page(
                session.key, min(given.message_limit, MAX_MESSAGES), max_size=MAX_BYTES
            )
            shown = (dump_message(one, self._texts, with_tools=False) for one in newest)
            newest_first = [one for one in shown if one is not None][::-1]
            row["messages"] = those_that_fit(newest_first, MAX_BYTES // 2)[::-1]
        return row


def _filter(where: SessionFilter, given: SessionsList) -> SessionFilter:
    minutes = given.active_minutes
    where = replace(
        where,
        label=given.label,
        search=(given.search or "").strip() or None,
        active_since=now_ms() - minutes * 60_000 if minutes else None,
    )
    agent_id = (given.agent_id or "").strip().lower()
    if not agent_id or where.agent_id == agent_id:
        return where
    # Another agent's: none, unless the scope is wider than one agent.
    return replace(where, agent_id=agent_id) if where.agent_id is None else replace(where, keys=())


def _has_texts(given: SessionsList) -> bool:
    return given.include_derived_titles or given.include_last_message or given.message_limit > 0
