"""Approvals and their document in a real database."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.clock import now_ms
from app.errors import InvalidRequest
from app.ids import new_uuid
from app.storage.base import Database, Worker
from app.storage.migrate import run_alembic
from app.storage.sqlite.connect import connect_writer, make_file
from app.storage.sqlite.database import SqliteDatabase
from app.storage.sqlite.worker_lock import WorkerLock
from app.storage.url import sqlite_file
from app.tools.approvals.document import AllowlistEntry, load_document
from app.tools.approvals.record import (
    CANCELLED,
    EXPIRED,
    Approval,
    ApprovalRequest,
    McpTool,
    Outcome,
    Resolver,
    outcome_of,
)
from app.tools.approvals.store import SqlApprovalStore, SqlDocumentStore

ANN = Resolver("device", "ann")


@pytest.fixture
def approvals(database: Database, worker: Worker) -> SqlApprovalStore:
    return SqlApprovalStore(database, worker)


@pytest.fixture
def document(database: Database) -> SqlDocumentStore:
    return SqlDocumentStore(database, "/x/gateway.sqlite")


def approval(kind: str = "exec", **more: object) -> Approval:
    request = ApprovalRequest(kind=kind, agent_id="main", command="ls 'é'", argv=("ls", "é"), **more)  # type: ignore[arg-type]
    return Approval(id=new_uuid(), request=request, created_at=now_ms(), expires_at=now_ms() + 1000)


def test_a_record_comes_back_as_it_was(approvals: SqlApprovalStore):
    one = approval("plugin", title="t", mcp_tool=McpTool("a", "b"), warnings=("w",), env_names=("A",))
    approvals.add(one)
    assert approvals.get(one.id) == one
    assert approvals.pending() == [one]
    assert approvals.pending_ids() == {one.id}
    assert approvals.get("other") is None


def test_it_ends_once(approvals: SqlApprovalStore):
    one = approval()
    approvals.add(one)
    assert approvals.resolve(one.id, outcome_of("allow-once", ANN))
    for later in (outcome_of("deny", ANN), EXPIRED, CANCELLED):
        assert not approvals.resolve(one.id, later)
    found = approvals.get(one.id)
    assert found is not None
    assert (found.state, found.decision, found.reason, found.resolver) == (
        "allowed",
        "allow-once",
        "user",
        ANN,
    )
    assert found.resolved_at is not None
    assert approvals.pending() == []
    assert not approvals.resolve("other", EXPIRED)


def test_history_is_newest_first_in_pages(approvals: SqlApprovalStore):
    ids = []
    for number in range(7):
        one = approval("exec" if number % 2 else "plugin")
        approvals.add(one)
        approvals.resolve(one.id, outcome_of("deny", ANN))
        ids.append(one.id)
    approvals.add(approval())
    found, before = [], None
    while page := approvals.history(3, before):
        found += [one.id for one in page]
        before = page[-1].id
    assert sorted(found) == sorted(ids)
    ends = [approvals.get(one).resolved_at for one in found]  # type: ignore[union-attr]
    assert ends == sorted(ends, reverse=True)  # type: ignore[type-var]
    assert len(approvals.history(50, kind="exec")) == 3


def test_those_of_dead_workers_are_cancelled(approvals: SqlApprovalStore, another: Callable[[], Any]):
    mine = approval()
    approvals.add(mine)
    dead = another()
    theirs = approval()
    SqlApprovalStore(dead.database, dead.worker).add(theirs)
    assert approvals.cancel_orphans() == 0
    dead.worker.close()
    assert approvals.cancel_orphans() == 1
    found = approvals.get(theirs.id)
    assert found is not None
    assert (found.state, found.reason, found.resolver and found.resolver.kind) == (
        "cancelled",
        "gateway-restart",
        "system",
    )
    assert approvals.pending() == [mine]


def test_old_ones_are_forgotten(approvals: SqlApprovalStore):
    over, waiting = approval(), approval()
    for one in (over, waiting):
        approvals.add(one)
    approvals.resolve(over.id, EXPIRED)
    assert approvals.prune(now_ms() - 1000) == 0
    assert approvals.prune(now_ms() + 1000) == 1
    assert approvals.get(over.id) is None
    assert approvals.get(waiting.id) is not None


def test_the_document(document: SqlDocumentStore):
    assert document.read() is None
    entry = AllowlistEntry(pattern="git")
    written = document.update(lambda present: present.with_entry("main", entry))
    assert document.read() == written
    again = document.update(lambda present: present.with_entry("main", AllowlistEntry(pattern="ls")))
    assert [one.pattern for one in again.allowlist("main")] == ["git", "ls"]
    assert len({one.id for one in again.allowlist("main")}) == 2

    def refuse(_: object) -> object:
        raise InvalidRequest("no")

    with pytest.raises(InvalidRequest):
        document.update(refuse)  # type: ignore[arg-type]
    assert document.read() == again


def test_a_database_without_these_tables_gets_them(tmp_path: Path):
    url = f"sqlite:///{tmp_path}/old.sqlite"
    make_file(sqlite_file(url))
    connection = connect_writer(sqlite_file(url), foreign_keys=False)
    with connection.begin():
        run_alembic(connection, "0002")
    connection.close()
    database = SqliteDatabase(url)
    worker = WorkerLock(database.directory)
    store = SqlApprovalStore(database, worker)
    one = approval()
    store.add(one)
    assert store.resolve(one.id, Outcome("denied", "user", "deny", ANN))
    assert SqlDocumentStore(database, "").read() is None
    database.close()
    worker.close()


def test_what_was_written_by_hand_is_checked(database: Database, document: SqlDocumentStore):
    document.update(lambda _: load_document({"version": 1}))
    database.write(
        lambda connection: connection.exec_driver_sql("UPDATE documents SET content = '{\"version\": 9}'")
    )
    with pytest.raises(InvalidRequest):
        document.read()
