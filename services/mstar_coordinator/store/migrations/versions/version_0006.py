"""R_p leaves the answer block out, and responses without a step are not kept: runs that exist keep the rules of before.

JSON that has the new fields already stays as it is.
"""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Rewrite the JSON text of recipes and of the steps that select."""
    runs = sa.table("runs", sa.column("id"), sa.column("recipe"))
    steps = sa.table("steps", sa.column("id"), sa.column("kind"), sa.column("spec"))
    connection = op.get_bind()
    for row in connection.execute(sa.select(runs)).all():
        recipe = json.loads(row.recipe)
        if recipe.get("prm"):
            recipe["prm"].setdefault("answer_block", True)
        _keep_all(recipe.setdefault("evolution", {}).setdefault("selection", {}))
        connection.execute(sa.update(runs).where(runs.c.id == row.id).values(recipe=_text(recipe)))
    for row in connection.execute(sa.select(steps).where(steps.c.kind == "select")).all():
        spec = json.loads(row.spec)
        _keep_all(spec["params"]["rule"])
        connection.execute(sa.update(steps).where(steps.c.id == row.id).values(spec=_text(spec)))


def _keep_all(selection: dict[str, Any]) -> None:
    selection.setdefault("min_steps", 0)


def _text(value: dict[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
