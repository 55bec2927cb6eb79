"""Puts the tools together: what they stand on, and the registry with those that are built in."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from app.cluster.ask import Workers
from app.concurrency.native_thread import NativeThread
from app.config.settings import Settings
from app.tools.approvals.base import ApprovalStore, DocumentStore
from app.tools.approvals.service import ApprovalService
from app.tools.builtin.apply_patch import apply_patch
from app.tools.builtin.ask_user import AskUserTool
from app.tools.builtin.edit import edit
from app.tools.builtin.exec import exec_tool
from app.tools.builtin.ls import ls
from app.tools.builtin.memory import MemoryTools
from app.tools.builtin.process import process_tool
from app.tools.builtin.progress_card import progress_card
from app.tools.builtin.read import read
from app.tools.builtin.view_image import view_image
from app.tools.builtin.web_fetch import WebFetchTool
from app.tools.builtin.web_search import WebSearchTool
from app.tools.builtin.write import write
from app.tools.exec.approval_gate import ApprovalGate
from app.tools.exec.room import ExecRoom
from app.tools.mcp.source import McpSource
from app.tools.questions.service import QuestionService
from app.tools.registry import ToolRegistry


class Tools(msgspec.Struct, frozen=True, kw_only=True):
    """What the rest of the gateway needs of its tools.

    Tools that start runs themselves are added to `registry` by `app/bootstrap.py`, once there is what starts
    runs.
    """

    registry: ToolRegistry
    exec: ExecRoom
    mcp: McpSource
    approvals: ApprovalService
    approvals_document: DocumentStore
    questions: QuestionService
    closing: Sequence[Callable[[], object]] = ()

    @property
    def at_start(self) -> Sequence[Callable[[object], object]]:
        """What ends the processes that killed gateways have left; each for a greenlet of its own."""
        return (self.exec.commands.end_leftovers, self.mcp.end_leftovers)

    def update(self, settings: Settings) -> None:
        """Take over other settings."""
        self.mcp.update(settings)

    def close(self) -> None:
        """End the processes and close the connections of tools."""
        for close in self.closing:
            close()


def build_tools(
    settings: Callable[[], Settings],
    approvals: ApprovalStore,
    document: DocumentStore,
    workers: Workers,
) -> Tools:
    """`settings` gives the present settings; approvals and their document are kept in the stores; `workers`
    are the others of this gateway. Building opens nothing.
    """
    service, questions = ApprovalService(approvals, workers), QuestionService(workers)
    mcp = McpSource(settings, is_shared=workers.pubsub.is_shared)
    registry = ToolRegistry(settings, [mcp])
    registry.add(read(), write(), edit(), ls(), apply_patch(), view_image(), progress_card())
    registry.add(AskUserTool(questions).tool())
    registry.add(WebFetchTool().tool(), WebSearchTool().tool())
    memory_thread = NativeThread()  # of its own: the database's must not wait for notes to be read
    memory = MemoryTools(memory_thread)
    registry.add(*memory.tools())
    room = ExecRoom(settings, ApprovalGate(service, document))
    registry.add(exec_tool(room), process_tool(room.background))
    return Tools(
        registry=registry,
        exec=room,
        mcp=mcp,
        approvals=service,
        approvals_document=document,
        questions=questions,
        closing=[mcp.close, room.close, memory_thread.close, memory.close],
    )
