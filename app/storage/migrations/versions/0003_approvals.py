"""Approvals of agents' calls, and documents that operators edit."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from app.storage.columns import short_text

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "approvals",
        sa.Column("id", short_text(36), primary_key=True),
        sa.Column("kind", short_text(16), nullable=False),
        sa.Column("state", short_text(16), nullable=False),
        sa.Column("worker", short_text(36), nullable=False),
        sa.Column("agent_id", short_text(64), nullable=False),
        sa.Column("session_key", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("resolved_at", sa.BigInteger()),
        sa.Column("decision", short_text(16)),
        sa.Column("reason", short_text(32)),
        sa.Column("resolver_kind", short_text(16)),
        sa.Column("resolver", sa.Text()),
    )
    pending = sa.text("state = 'pending'")
    op.create_index(
        "ix_approvals_pending", "approvals", ["worker"], sqlite_where=pending, postgresql_where=pending
    )
    op.create_index("ix_approvals_resolved_at", "approvals", ["resolved_at"])
    op.create_table(
        "documents",
        sa.Column("name", short_text(64), primary_key=True),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
    )
