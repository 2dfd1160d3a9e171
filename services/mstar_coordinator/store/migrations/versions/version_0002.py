"""The tables of the first release: runs, steps, what each step needs, events and idempotency keys.

They are written out, not taken from `tables.py`: that one moves on, and this revision must stay what it was.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = None


def upgrade() -> None:
    """Create all tables."""
    op.create_table(
        "runs",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("state", sa.String(16), nullable=False, index=True),
        sa.Column("error", sa.Text),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("updated_at", sa.Float, nullable=False),
        sa.Column("iterations", sa.Integer, nullable=False),
        sa.Column("recipe", sa.Text, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("written", sa.Integer, nullable=False),
    )
    _create_steps()
    op.create_table(
        "events",
        sa.Column("run_id", sa.String(40), sa.ForeignKey("runs.id"), primary_key=True),
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("type", sa.String(40), nullable=False),
        sa.Column("step", sa.String(120)),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("result", sa.Text),
    )
    op.create_table(
        "idempotency",
        sa.Column("key", sa.String(200), primary_key=True),
        sa.Column("body_sha256", sa.String(64), nullable=False),
        sa.Column("run_id", sa.String(40), nullable=False),
        sa.Column("at", sa.Float, nullable=False),
    )


def _create_steps() -> None:
    op.create_table(
        "steps",
        sa.Column("id", sa.String(60), primary_key=True),
        sa.Column("run_id", sa.String(40), sa.ForeignKey("runs.id"), nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("name", sa.String(120), nullable=False),
        sa.Column("stage", sa.String(120), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("queue", sa.String(16), nullable=False),
        sa.Column("spec", sa.Text, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("waiting", sa.Integer, nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("worker", sa.String(200)),
        sa.Column("error", sa.Text),
        sa.Column("published_at", sa.Float),
        sa.Column("claimed_at", sa.Float),
        sa.Column("lease_until", sa.Float),
        sa.Column("done_at", sa.Float),
        sa.Column("units_done", sa.Integer, nullable=False),
        sa.Column("units_total", sa.Integer, nullable=False),
        sa.Column("artefact_id", sa.String(500)),
        sa.Column("artefact_sha256", sa.String(64)),
        sa.Column("result", sa.Text),
    )
    op.create_index("steps_by_name", "steps", ["run_id", "name"], unique=True)
    op.create_index("steps_by_position", "steps", ["run_id", "position"], unique=True)
    op.create_index("steps_by_stage", "steps", ["run_id", "stage"])
    op.create_index("steps_due", "steps", ["state", "waiting", "queue", "run_id", "position"])
    op.create_table(
        "step_needs",
        sa.Column("step_id", sa.String(60), sa.ForeignKey("steps.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("need_id", sa.String(60), sa.ForeignKey("steps.id"), primary_key=True),
        sa.Column("streams", sa.Boolean, nullable=False),
    )
    op.create_index("needs_by_need", "step_needs", ["need_id"])
