"""What operators set for a session, and how often it was reset."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("sessions", sa.Column("revision", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("sessions", sa.Column("settings", sa.JSON(), nullable=False, server_default="{}"))
    op.create_index("ix_sessions_label", "sessions", ["label"])
