"""Which of a run's tokens were cached, and which were spent on reasoning."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    for name in ("cached_tokens", "reasoning_tokens"):
        op.add_column("runs", sa.Column(name, sa.BigInteger().with_variant(sa.Integer(), "sqlite")))
