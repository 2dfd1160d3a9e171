"""Who is signed in, so that a session can be listed and ended by somebody else."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """Add the columns `name` and `project` to `sessions`, and fill them.

    Which bootstrap key a session began with cannot be told from what is kept; all of these are in the default project.
    """
    op.add_column("sessions", sa.Column("name", sa.String(100), nullable=False, server_default="bootstrap"))
    op.add_column("sessions", sa.Column("project", sa.String(40), nullable=False, server_default="default"))
    sessions = sa.table("sessions", *map(sa.column, ("digest", "key_id", "principal", "name", "project")))
    keys = sa.table("api_keys", *map(sa.column, ("id", "name", "project")))
    connection = op.get_bind()
    named = connection.execute(
        sa.select(sessions.c.digest, keys.c.name, keys.c.project).join(keys, keys.c.id == sessions.c.key_id)
    ).all()
    vouched = connection.execute(
        sa.select(sessions.c.digest, sessions.c.principal).where(sessions.c.principal.is_not(None))
    ).all()
    people = [(digest, json.loads(principal)) for digest, principal in vouched]
    for digest, name, project in [*named, *((one, who["name"], who["project"]) for one, who in people)]:
        found = sa.update(sessions).where(sessions.c.digest == digest)
        connection.execute(found.values(name=name, project=project))
