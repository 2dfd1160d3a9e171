"""Whose key has uploaded a file, so that each key's stored bytes can be counted."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Add the column `key_id` to `files`; nobody is asked for what was uploaded before."""
    op.add_column("files", sa.Column("key_id", sa.String(40), nullable=True))
    op.create_index("files_by_key", "files", ["key_id"])
