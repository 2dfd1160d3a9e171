"""Runs and studies belong to a project, and idempotency keys keep the first answer."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Add `runs.project`, `studies.project` and `idempotency.answer`."""
    op.add_column("runs", sa.Column("project", sa.String(40), nullable=False, server_default="default"))
    op.create_index("runs_by_project", "runs", ["project", "id"])
    op.add_column("studies", sa.Column("project", sa.String(40), nullable=False, server_default="default"))
    op.add_column("idempotency", sa.Column("answer", sa.Text))
