"""GPU memory of the steps that are worked on."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Add the columns `gpu_used` and `gpu_total` to `steps`; heartbeats fill them."""
    op.add_column("steps", sa.Column("gpu_used", sa.BigInteger))
    op.add_column("steps", sa.Column("gpu_total", sa.BigInteger))
