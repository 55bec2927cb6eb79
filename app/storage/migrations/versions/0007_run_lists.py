"""The newest runs are found without reading all of them."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_index("ix_runs_started_at", "runs", ["started_at"])
