"""The runs that wait in a session's queue are found without reading those that have ended."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    running = sa.text("state = 'running'")
    op.create_index(
        "ix_runs_unended", "runs", ["session", "turn"], sqlite_where=running, postgresql_where=running
    )
