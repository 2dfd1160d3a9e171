"""`/evaluations`: models measured on published benchmarks, and the values of one evaluation's page.

A page of its own at `/runs/{id}`, since an evaluation is a run: this makes what it shows, `routes` serves it.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from fastapi import APIRouter
from starlette.responses import HTMLResponse

from mstar.api.evaluations import Evaluation
from mstar.judges import benchmark
from mstar.judges.tables import TableCell
from mstar.recipes import Recipe
from mstar_coordinator.api.pages.listing import STATES, Asked
from mstar_coordinator.api.pages.rendering import page
from mstar_coordinator.api.pages.views import done_percent, moment, spoken
from mstar_coordinator.api.routes.context import Caller, Coordinator
from mstar_coordinator.api.views import evaluation_view
from mstar_eval.results import warnings

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)


@dataclass(frozen=True)
class EvaluationLine:
    """An evaluation as the list shows it."""

    made: Evaluation
    tags: tuple[str, ...]
    created: str
    """Date and time, UTC."""
    age: str
    percent: int
    """Steps that are done."""
    sets: tuple[tuple[str, int, TableCell | None], ...]
    """Title, prompts, and what the first line of its table has, once it is measured."""


@router.get("/evaluations")
def evaluations_page(coordinator: Coordinator, caller: Caller, listed: Asked) -> HTMLResponse:
    """Evaluations, newest first, those that a filter means."""
    with coordinator.store.reading() as tx:
        ids, more = listed.page(tx, caller.view, evaluations=True)
        tags = tx.tags.of(ids)
        found = [evaluation_view(tx, tx.runs.get(one)) for one in ids]
        known = tx.tags.all(caller.view)
    now = time.time()
    lines = [_line(one, tags.get(one.id, ()), now) for one in found]
    return page("evaluations.html.j2", lines=lines, more=more, asked=listed.asked, states=STATES, tags=known)


def evaluation_values(made: Evaluation, recipe: Recipe) -> dict[str, Any]:
    """What the template of an evaluation needs beside its run: what is measured, its tables, and what to know of them.

    `recipe`: has a section `measure`.
    """
    measure = recipe.measure
    assert measure is not None, "only an evaluation has such a page"
    tables = [(benchmark(name), table) for name, table in made.results.items()]
    ranked_by = None
    if recipe.prm is not None:
        ranked_by = recipe.prm.base if measure.prm_checkpoint is None else measure.prm_checkpoint.version
    return {
        "made": made,
        "measure": measure,
        "sets": [(benchmark(name).title, items) for name, items in made.sets.items()],
        "max_tokens": recipe.generation.max_tokens,
        "seed": recipe.seed,
        "measured_run": None if measure.checkpoint is None else measure.checkpoint.id.partition("/")[0],
        "base": recipe.model.base,
        "ranked_by": ranked_by,
        "tables": tables,
        "average": fmean([table.lines[0].average.share for _, table in tables]) if len(tables) > 1 else None,
        "warnings": warnings(made.results),
    }


def _line(made: Evaluation, tags: Sequence[str], now: float) -> EvaluationLine:
    tables = made.results
    return EvaluationLine(
        made=made,
        tags=tuple(tags),
        created=moment(made.created_at),
        age=spoken(now - made.created_at),
        percent=done_percent(made.progress),
        sets=tuple(
            (benchmark(name).title, items, tables[name].lines[0].average if name in tables else None)
            for name, items in made.sets.items()
        ),
    )
