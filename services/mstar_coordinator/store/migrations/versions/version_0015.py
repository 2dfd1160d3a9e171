"""Sessions of people who sign in at an OpenID Connect provider."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Add the column `principal` to `sessions`: such a session has no key to take its roles from."""
    op.add_column("sessions", sa.Column("principal", sa.Text, nullable=True))
