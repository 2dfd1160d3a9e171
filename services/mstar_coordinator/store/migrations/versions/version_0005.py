"""Questions at which attempts of a step ended: suspects, and those that are left out of their run."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the table `suspects`, and to steps the question in hand."""
    op.add_column("steps", sa.Column("in_hand", sa.String(200)))
    op.create_table(
        "suspects",
        sa.Column("run_id", sa.String(40), sa.ForeignKey("runs.id"), primary_key=True),
        sa.Column("question_id", sa.String(200), primary_key=True),
        sa.Column("step", sa.String(120), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("quarantined_at", sa.Float),
    )
