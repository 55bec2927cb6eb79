"""Sessions, their runs and their messages."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from app.storage.columns import LONG, short_text

revision = "0001"
down_revision = None


def upgrade() -> None:
    _create_sessions()
    _create_runs()
    _create_messages()


def _create_sessions() -> None:
    op.create_table(
        "sessions",
        sa.Column("id", LONG, primary_key=True),
        sa.Column("key", sa.Text(), nullable=False, unique=True),
        sa.Column("session_id", short_text(36), nullable=False),
        sa.Column("agent_id", short_text(64), nullable=False),
        sa.Column("label", sa.Text()),
        sa.Column("turns", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_sessions_updated_at", "sessions", ["updated_at"])


def _create_runs() -> None:
    op.create_table(
        "runs",
        sa.Column("id", short_text(64), primary_key=True),
        sa.Column("session", LONG, sa.ForeignKey("sessions.id", ondelete="CASCADE"), nullable=False),
        sa.Column("turn", sa.Integer(), nullable=False),
        sa.Column("owner", short_text(36), nullable=False),
        sa.Column("source", short_text(32), nullable=False),
        sa.Column("state", short_text(16), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger()),
        sa.Column("finish_reason", short_text(32)),
        sa.Column("error_code", short_text(64)),
        sa.Column("error_message", sa.Text()),
        sa.Column("model", sa.Text()),
        sa.Column("prompt_tokens", LONG),
        sa.Column("completion_tokens", LONG),
        sa.Column("usage_estimated", sa.Boolean()),
        sa.UniqueConstraint("session", "turn", name="uq_runs_session_turn"),
    )
    running = sa.text("state = 'running'")
    op.create_index("ix_runs_running", "runs", ["owner"], sqlite_where=running, postgresql_where=running)


def _create_messages() -> None:
    op.create_table(
        "messages",
        sa.Column("id", LONG, primary_key=True),
        sa.Column("session", LONG, sa.ForeignKey("sessions.id", ondelete="CASCADE"), nullable=False),
        sa.Column("run_id", short_text(64), sa.ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
        sa.Column("turn", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("role", short_text(16), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("state", short_text(16), nullable=False),
        sa.Column("replaced_by", short_text(64)),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_messages_session_turn_position", "messages", ["session", "turn", "position"])
    op.create_index("ix_messages_run_id", "messages", ["run_id"])
