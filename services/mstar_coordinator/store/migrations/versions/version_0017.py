"""Which artefacts of a study's runs were removed on purpose."""

import re

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
_TRAINED = re.compile(r"it[0-9]+/train")


def upgrade() -> None:
    """Add the column `removed` to `steps`, and mark the checkpoints that studies do not keep.

    Studies have removed all but the last one of a finished run. One of them that is still there loses nothing by the
    mark: it is made again where a step that is done again reads it.
    """
    op.add_column("steps", sa.Column("removed", sa.Boolean, nullable=False, server_default=sa.false()))
    steps = sa.table("steps", sa.column("id"), sa.column("run_id"), sa.column("name"), sa.column("removed", sa.Boolean))
    runs, members = sa.table("runs", sa.column("id"), sa.column("state")), sa.table("study_runs", sa.column("run_id"))
    connection = op.get_bind()
    finished = sa.select(members.c.run_id).join(runs, runs.c.id == members.c.run_id).where(runs.c.state == "succeeded")
    for run_id in connection.execute(finished).scalars().all():
        rows = connection.execute(sa.select(steps.c.name, steps.c.id).where(steps.c.run_id == run_id))
        trained = sorted((row.name, row.id) for row in rows if _TRAINED.fullmatch(row.name))
        for _, step_id in trained[:-1]:
            connection.execute(sa.update(steps).where(steps.c.id == step_id).values(removed=True))
