"""Runs that pass from worker to worker, keys that callers repeat, and sessions that nobody named."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from app.storage.columns import short_text

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("sessions", sa.Column("hidden", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("runs", sa.Column("fence", sa.Integer(), nullable=False, server_default="1"))
    op.add_column("runs", sa.Column("dequeued_at", sa.BigInteger()))
    op.add_column("runs", sa.Column("request", sa.Text()))
    op.create_table(
        "workers",
        sa.Column("id", short_text(36), primary_key=True),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("info", sa.Text(), nullable=False, server_default="{}"),
    )
    op.create_index("ix_workers_expires_at", "workers", ["expires_at"])
    op.create_table(
        "idempotency_keys",
        sa.Column("id", short_text(64), primary_key=True),
        sa.Column("body_hash", short_text(64), nullable=False),
        sa.Column("run_id", short_text(64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_idempotency_keys_created_at", "idempotency_keys", ["created_at"])
