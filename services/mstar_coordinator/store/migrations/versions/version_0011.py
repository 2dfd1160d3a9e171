"""Tags of runs, one of which archives a run."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Add the table `run_tags`."""
    op.create_table(
        "run_tags",
        sa.Column("run_id", sa.String(40), sa.ForeignKey("runs.id"), primary_key=True),
        sa.Column("tag", sa.String(40), primary_key=True),
    )
    op.create_index("run_tags_by_tag", "run_tags", ["tag"])
