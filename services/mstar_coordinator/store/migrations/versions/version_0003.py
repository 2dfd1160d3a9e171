"""Leases are counted by their renewals; the time at which one ends is no longer stored.

A step that is leased keeps its lease: whoever watches it gives it a whole lease from when it first sees it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Replace `steps.lease_until` by `steps.renewals`."""
    # Not in Alembic's batch mode, which copies the table on SQLite: dropping the old one would cascade to step_needs.
    op.add_column("steps", sa.Column("renewals", sa.Integer, nullable=False, server_default="0"))
    op.drop_column("steps", "lease_until")
