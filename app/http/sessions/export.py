"""An exported session as text, line by line (docs/sessions.md#export). Pure.

JSONL is made for machines: `import_body` reads it back without loss. Markdown is for people.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import orjson

from app.clock import now_ms
from app.control.session_copies import Export
from app.errors import GatewayError
from app.http.errors import envelope
from app.http.sessions.encoder import dump_message
from app.http.sessions.markdown import as_block, closed, moment
from app.messages import Message
from app.sessions.keys import shown_run_id
from app.sessions.portable import ExportedMessage, PortableRun

VERSION = 1
SPEAKERS = {"user": "User", "assistant": "Assistant", "tool": "Result", "system": "System"}


class Writer(Protocol):
    """Bytes of one format."""

    content_type: str
    extension: str

    def begin(self, export: Export) -> bytes: ...

    def messages(self, piece: Sequence[ExportedMessage]) -> bytes: ...

    def end(self) -> bytes: ...

    def broken(self, error: GatewayError) -> bytes:
        """The last thing that is written in place of `end`, where the rest cannot be read."""


class JsonlWriter:
    """The session, each run with its messages behind it, and an end: a file without it is not complete."""

    content_type = "application/x-ndjson"
    extension = "jsonl"

    def __init__(self) -> None:
        self._run_number: int | None = None
        self._key = ""
        self._count = 0

    def begin(self, export: Export) -> bytes:
        session = self._session = export.session
        self._key = session.key
        line = {
            "type": "session",
            "version": VERSION,
            "key": session.key,
            "agentId": session.agent_id,
            "sessionId": session.session_id,
            "label": session.label,
            "settings": dict(session.settings),
            "createdAt": session.created_at,
            "updatedAt": session.updated_at,
            "exportedAt": now_ms(),
            "messages": export.messages,
            "unfinishedRuns": [shown_run_id(one, session.key) for one in export.unended],
        }
        return _line(line)

    def messages(self, piece: Sequence[ExportedMessage]) -> bytes:
        return b"".join(self._lines(piece))

    def end(self) -> bytes:
        return _line({"type": "end", "messages": self._count})

    def broken(self, error: GatewayError) -> bytes:
        return _line({"type": "error", **envelope(error)})

    def _lines(self, piece: Sequence[ExportedMessage]) -> Iterable[bytes]:
        for row, run_number, run in piece:
            if run_number != self._run_number:
                self._run_number = run_number
                yield _line(_run(run_number, shown_run_id(row.run_id, self._key), run))
            self._count += 1
            yield _line(
                {
                    "type": "message",
                    "run": run_number,
                    "id": row.id,
                    "state": row.state,
                    "createdAt": row.created_at,
                    "message": dump_message(row.message),
                }
            )


class MarkdownWriter:
    """A heading for each message. What is shown as it is cannot change what stands behind it."""

    content_type = "text/markdown; charset=utf-8"
    extension = "md"

    def begin(self, export: Export) -> bytes:
        session = export.session
        title = " ".join((session.label or session.key).split())
        facts = [
            f"Session `{session.key.replace('`', ' ')}`, agent `{session.agent_id}`.",
            f"Begun {moment(session.created_at)}, exported {moment(now_ms())}.",
        ]
        if export.unended:
            facts.append("**A run was going on: its answer is not complete.**")
        return "\n\n".join((f"# {escape(title)}", *facts, "")).encode("utf-8", "replace")

    def messages(self, piece: Sequence[ExportedMessage]) -> bytes:
        return "".join(map(self._message, piece)).encode("utf-8", "replace")

    def end(self) -> bytes:
        return b""

    def broken(self, error: GatewayError) -> bytes:
        return f"\n---\n\n**The export broke off here: {escape(error.message)}**\n".encode()

    def _message(self, one: ExportedMessage) -> str:
        row, message = one.row, one.row.message
        name = f" `{message.name.replace('`', ' ')}`" if message.name else ""
        parts = [f"\n## {SPEAKERS[message.role]}{name}\n\n*{moment(row.created_at)}*\n"]
        parts += [f"\n{part}\n" for part in _parts(message)]
        if row.state == "partial":
            parts.append("\n*The answer was cut short.*\n")
        return "".join(parts)


def _parts(message: Message) -> Iterable[str]:
    text = message.text
    if message.role == "tool":
        yield as_block(text)
    elif text:
        yield closed(text)
    if message.refusal:
        yield f"*Refused:* {closed(message.refusal)}"
    for image in message.images:
        yield f"*Picture: {escape(image.mime)}, {len(image.data) * 3 // 4} bytes.*"
    for call in message.tool_calls:
        yield f"Calls `{call.name.replace('`', ' ')}`:\n\n{as_block(call.arguments, 'json')}"


def escape(text: str) -> str:
    """A text without marks of Markdown and HTML, for one line."""
    return re.sub(r"([\\`*_\[\]<>#|])", r"\\\1", text)


def _run(number: int, run_id: str, run: PortableRun) -> dict[str, Any]:
    return {
        "type": "run",
        "run": number,
        "id": run_id,
        "state": run.state,
        "source": run.source,
        "startedAt": run.started_at,
        "endedAt": run.ended_at,
        "finishReason": run.finish_reason,
        "errorCode": run.error_code,
        "errorMessage": run.error_message,
        "model": run.model,
        "promptTokens": run.prompt_tokens,
        "completionTokens": run.completion_tokens,
        "usageEstimated": run.usage_estimated,
    }


def _line(document: dict[str, Any]) -> bytes:
    return orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE)
