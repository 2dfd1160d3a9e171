"""The PRM gets questions of its own, and `sound` names what `oracle` selected: existing runs keep what they did.

JSON that has the new form already stays as it is.
"""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Rewrite the JSON text of recipes and of the steps that select."""
    runs = sa.table("runs", sa.column("id"), sa.column("recipe"))
    steps = sa.table("steps", sa.column("id"), sa.column("kind"), sa.column("spec"))
    connection = op.get_bind()
    for row in connection.execute(sa.select(runs)).all():
        recipe = json.loads(row.recipe)
        if recipe.get("prm"):
            # The graph of a run that is extended is built anew, and must name the questions that were sampled.
            recipe["prm"].setdefault("own_questions", False)
        _rename(recipe.get("evolution", {}).get("selection", {}))
        connection.execute(sa.update(runs).where(runs.c.id == row.id).values(recipe=_text(recipe)))
    for row in connection.execute(sa.select(steps).where(steps.c.kind == "select")).all():
        spec = json.loads(row.spec)
        _rename(spec["params"]["rule"])
        connection.execute(sa.update(steps).where(steps.c.id == row.id).values(spec=_text(spec)))


def _rename(selection: dict[str, Any]) -> None:
    if selection.get("mode") == "oracle":
        selection["mode"] = "sound"


def _text(value: dict[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
