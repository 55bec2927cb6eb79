"""What is stored, as SQLAlchemy tables. A change here needs a file in `migrations/versions/`.

Times are milliseconds since 1970. Where a column has a `key`, that is its name in Python: the column itself
was named when the words were others, and renaming it would rewrite every row.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)

from app.storage.columns import LONG, short_text

metadata = MetaData()

sessions = Table(
    "sessions",
    metadata,
    Column("id", LONG, primary_key=True),
    Column("key", Text, nullable=False, unique=True),
    Column("session_id", short_text(36), nullable=False),
    Column("agent_id", short_text(64), nullable=False),
    Column("label", Text),
    Column("turns", Integer, nullable=False, key="run_count"),  # ever accepted: the newest run's number
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("revision", Integer, nullable=False, server_default="0"),  # how often it was reset
    Column("settings", JSON, nullable=False, server_default="{}"),
    # Made by the gateway for one run that has to be stored though its caller named no session.
    Column("hidden", Boolean, nullable=False, server_default=false()),
    Index("ix_sessions_updated_at", "updated_at"),
    Index("ix_sessions_label", "label"),
)

runs = Table(
    "runs",
    metadata,
    Column("id", short_text(64), primary_key=True),
    Column("session", ForeignKey("sessions.id", ondelete="CASCADE"), nullable=False),
    Column("turn", Integer, nullable=False, key="run_number"),  # in its session, from 1
    Column("owner", short_text(36), nullable=False, key="worker"),  # the process that has it
    Column("source", short_text(32), nullable=False),
    Column("state", short_text(16), nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Column("finish_reason", short_text(32)),
    Column("error_code", short_text(64)),
    Column("error_message", Text),
    Column("model", Text),
    Column("prompt_tokens", LONG),
    Column("completion_tokens", LONG),
    Column("cached_tokens", LONG),  # of the prompt
    Column("reasoning_tokens", LONG),  # of the completion
    Column("usage_estimated", Boolean),
    Column("fence", Integer, nullable=False, server_default="1"),  # how many workers have had it: see below
    Column("dequeued_at", BigInteger),  # when it left its session's queue; NULL: it waits there
    Column("request", Text),  # JSON: what it takes to go on with it in another process; NULL: nobody may
    UniqueConstraint("session", "run_number", name="uq_runs_session_turn"),
    Index("ix_runs_started_at", "started_at"),
    # Who is before a new run in its session's queue: asked for each run, and there may be thousands behind.
    Index(
        "ix_runs_unended",
        "session",
        "run_number",
        sqlite_where=text("state = 'running'"),
        postgresql_where=text("state = 'running'"),
    ),
    Index(
        "ix_runs_running",
        "worker",
        sqlite_where=text("state = 'running'"),
        postgresql_where=text("state = 'running'"),
    ),
)

# A worker lives as long as it renews its row (PostgreSQL; with SQLite it holds a lock on a file instead).
# Whoever takes a dead worker's run over writes its own name into the run and adds 1 to the run's `fence`.
# Every write of a run names both, so a worker that was only slow cannot write any more.
workers = Table(
    "workers",
    metadata,
    Column("id", short_text(36), primary_key=True),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),  # by the database's clock
    Column("info", Text, nullable=False, server_default="{}"),  # JSON, for operators
    Index("ix_workers_expires_at", "expires_at"),
)

# Which run a caller's key for a request stands for.
idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("id", short_text(64), primary_key=True),  # a hash of the key with its caller, route and session
    Column("body_hash", short_text(64), nullable=False),
    Column("run_id", short_text(64), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Index("ix_idempotency_keys_created_at", "created_at"),
)

messages = Table(
    "messages",
    metadata,
    Column("id", LONG, primary_key=True),
    Column("session", ForeignKey("sessions.id", ondelete="CASCADE"), nullable=False),
    Column("run_id", ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
    Column("turn", Integer, nullable=False, key="run_number"),
    Column("position", Integer, nullable=False),  # among the messages of its run, from 0
    Column("role", short_text(16), nullable=False),
    Column("content", Text, nullable=False),
    Column("state", short_text(16), nullable=False),
    Column("replaced_by", short_text(64)),
    Column("created_at", BigInteger, nullable=False),
    Index("ix_messages_session_turn_position", "session", "run_number", "position"),
    Index("ix_messages_run_id", "run_id"),
)

approvals = Table(
    "approvals",
    metadata,
    Column("id", short_text(36), primary_key=True),
    Column("kind", short_text(16), nullable=False),
    Column("state", short_text(16), nullable=False),
    Column("worker", short_text(36), nullable=False),  # whose run waits for it
    Column("agent_id", short_text(64), nullable=False),
    Column("session_key", Text, nullable=False),
    Column("run_id", Text, nullable=False),
    Column("request", Text, nullable=False),  # JSON, without secrets
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("resolved_at", BigInteger),
    Column("decision", short_text(16)),
    Column("reason", short_text(32)),
    Column("resolver_kind", short_text(16)),
    Column("resolver", Text),
    Index(
        "ix_approvals_pending",
        "worker",
        sqlite_where=text("state = 'pending'"),
        postgresql_where=text("state = 'pending'"),
    ),
    Index("ix_approvals_resolved_at", "resolved_at"),
)

documents = Table(
    "documents",
    metadata,
    Column("name", short_text(64), primary_key=True),
    Column("content", Text, nullable=False),  # JSON
    Column("updated_at", BigInteger, nullable=False),
)
