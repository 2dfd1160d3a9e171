"""`/new`: a form that starts a run, from a recipe that ships or as a copy of another run with changes."""

import json
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import HTMLResponse

from mstar.errors import Conflict, NotFound
from mstar.recipes import Recipe
from mstar_coordinator.api.pages.recipe_form import sections_of
from mstar_coordinator.api.pages.rendering import page
from mstar_coordinator.api.routes.context import Coordinator

DEFAULT = "demo"
router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)


@router.get("/new")
def choose_page(coordinator: Coordinator, recipe: Annotated[str, Query(max_length=200)] = DEFAULT) -> HTMLResponse:
    """The form for a recipe that can be started by name."""
    known = coordinator.recipes.names()
    if recipe not in known:
        raise NotFound(f"recipe {recipe[:64]!r} is unknown; there are: {', '.join(known)}", field="recipe")
    return _form(coordinator.recipes.read(recipe, {}), json.dumps(recipe), known, chosen=recipe)


@router.get("/runs/{run_id}/clone")
def clone_page(coordinator: Coordinator, run_id: str) -> HTMLResponse:
    """The form with another run's recipe."""
    with coordinator.store.reading() as tx:
        recipe = tx.runs.get(run_id).recipe
    if recipe.measure is not None:
        detail = f"{run_id} is an evaluation, which has no recipe of its own: start another with `mstar eval`"
        raise Conflict(detail, field="run_id")
    return _form(recipe, recipe.model_dump_json(), (), chosen=run_id)


def _form(recipe: Recipe, base: str, known: tuple[str, ...] | list[str], *, chosen: str) -> HTMLResponse:
    """`base`: what the request names as its recipe, as JSON; what is changed goes beside it as overrides."""
    return page("new.html.j2", sections=sections_of(recipe), base=base, known=known, chosen=chosen, recipe=recipe)
