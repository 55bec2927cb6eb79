"""Tells the connections that may answer what agents ask, and what became of it."""

from __future__ import annotations

from app.clock import now_ms
from app.tools.questions.record import Asked, dump_asked, dump_outcome
from app.tools.questions.service import QuestionService
from app.ws.connections import Connections
from app.ws.frames import EventFrame


class QuestionFeed:
    """`question.requested` and `question.resolved` (docs/tools.md#questions)."""

    def __init__(self, connections: Connections, questions: QuestionService) -> None:
        self._connections = connections
        questions.listeners.append(self._send)
        questions.answerers.append(lambda session_key: bool(connections.answerers(session_key)))

    def _send(self, asked: Asked) -> None:
        connections = self._connections.answerers(asked.session_key)
        if not connections:
            return
        if asked.is_pending:
            frame = EventFrame("question.requested", dump_asked(asked))
        else:
            frame = EventFrame("question.resolved", {"id": asked.id, **dump_outcome(asked), "ts": now_ms()})
        for connection in connections:
            connection.notify(frame)
