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
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData()

sessions = Table(
    "sessions",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("key", Text, nullable=False, unique=True),
    Column("session_id", String(36), nullable=False),
    Column("agent_id", String(64), nullable=False),
    Column("label", Text),
    Column("turns", Integer, nullable=False, key="run_count"),  # ever accepted: the newest run's number
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("revision", Integer, nullable=False, server_default="0"),  # how often it was reset
    Column("settings", JSON, nullable=False, server_default="{}"),
    Index("ix_sessions_updated_at", "updated_at"),
    Index("ix_sessions_label", "label"),
)

runs = Table(
    "runs",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("session", ForeignKey("sessions.id", ondelete="CASCADE"), nullable=False),
    Column("turn", Integer, nullable=False, key="run_number"),  # in its session, from 1
    Column("owner", String(36), nullable=False, key="worker"),  # the process that has it
    Column("source", String(32), nullable=False),
    Column("state", String(16), nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Column("finish_reason", String(32)),
    Column("error_code", String(64)),
    Column("error_message", Text),
    Column("model", Text),
    Column("prompt_tokens", Integer),
    Column("completion_tokens", Integer),
    Column("usage_estimated", Boolean),
    UniqueConstraint("session", "run_number", name="uq_runs_session_turn"),
    Index("ix_runs_running", "worker", sqlite_where=text("state = 'running'")),
)

messages = Table(
    "messages",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("session", ForeignKey("sessions.id", ondelete="CASCADE"), nullable=False),
    Column("run_id", ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
    Column("turn", Integer, nullable=False, key="run_number"),
    Column("position", Integer, nullable=False),  # among the messages of its run, from 0
    Column("role", String(16), nullable=False),
    Column("content", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("replaced_by", String(64)),
    Column("created_at", BigInteger, nullable=False),
    Index("ix_messages_session_turn_position", "session", "run_number", "position"),
    Index("ix_messages_run_id", "run_id"),
)

approvals = Table(
    "approvals",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("worker", String(36), nullable=False),  # whose run waits for it
    Column("agent_id", String(64), nullable=False),
    Column("session_key", Text, nullable=False),
    Column("run_id", Text, nullable=False),
    Column("request", Text, nullable=False),  # JSON, without secrets
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("resolved_at", BigInteger),
    Column("decision", String(16)),
    Column("reason", String(32)),
    Column("resolver_kind", String(16)),
    Column("resolver", Text),
    Index("ix_approvals_pending", "worker", sqlite_where=text("state = 'pending'")),
    Index("ix_approvals_resolved_at", "resolved_at"),
)

documents = Table(
    "documents",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("content", Text, nullable=False),  # JSON
    Column("updated_at", BigInteger, nullable=False),
)
