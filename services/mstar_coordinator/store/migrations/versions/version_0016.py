"""Evaluations beside runs."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Add the column `evaluation` to `runs`; what is there trains a model."""
    op.add_column("runs", sa.Column("evaluation", sa.Boolean, nullable=False, server_default=sa.false()))
