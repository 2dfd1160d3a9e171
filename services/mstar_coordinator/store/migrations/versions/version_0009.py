"""Studies: which runs belong to one, and the keys by which their runs share steps."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add the tables `studies` and `study_runs`, and to steps the key of what determines their output."""
    op.add_column("steps", sa.Column("key", sa.String(64)))
    op.create_index("steps_by_key", "steps", ["key"])
    op.create_table(
        "studies",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("updated_at", sa.Float, nullable=False),
        sa.Column("plan", sa.Text, nullable=False),
    )
    op.create_index("ix_studies_state", "studies", ["state"])
    op.create_table(
        "study_runs",
        sa.Column("study_id", sa.String(40), sa.ForeignKey("studies.id"), primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("arm", sa.String(40), nullable=False),
        sa.Column("seed", sa.Integer, nullable=False),
        sa.Column("recipe", sa.Text, nullable=False),
        sa.Column("run_id", sa.String(40), sa.ForeignKey("runs.id")),
    )
    op.create_index("study_runs_by_run", "study_runs", ["run_id"], unique=True)
