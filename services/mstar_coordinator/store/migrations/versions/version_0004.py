"""A recipe's `prm.savings` names each saving of scores, and steps read it there; its field `prm.leave_out` is gone.

JSON that has the new form already stays as it is.
"""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

NONE = {"wrong": False, "uncontested": False, "decided": False}
DROPPED = {"score": ("use", "savings"), "select": ("savings",)}
"""Parameters that a kind of step no longer has."""


def upgrade() -> None:
    """Rewrite the JSON text of recipes and of the steps that score."""
    runs = sa.table("runs", sa.column("id"), sa.column("recipe"))
    steps = sa.table("steps", sa.column("id"), sa.column("kind"), sa.column("spec"))
    connection = op.get_bind()
    for row in connection.execute(sa.select(runs)).all():
        recipe = json.loads(row.recipe)
        if _name_savings(recipe):
            connection.execute(sa.update(runs).where(runs.c.id == row.id).values(recipe=_text(recipe)))
    for row in connection.execute(sa.select(steps).where(steps.c.kind.in_(DROPPED))).all():
        spec = json.loads(row.spec)
        for name in DROPPED[row.kind]:
            spec["params"].pop(name, None)
        connection.execute(sa.update(steps).where(steps.c.id == row.id).values(spec=_text(spec)))


def _name_savings(recipe: dict[str, Any]) -> bool:
    """Whether the recipe had the old form."""
    prm = recipe.get("prm")
    if not prm or "leave_out" not in prm:
        return False
    chosen = prm.pop("leave_out")
    prm["savings"] = chosen if prm.get("savings", True) else NONE
    return True


def _text(value: dict[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
