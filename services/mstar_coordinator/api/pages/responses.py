"""`/runs/{id}/responses`: the responses that a run sampled, filtered and sorted, with the whole state in the URL."""

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Response
from starlette.responses import HTMLResponse

from mstar.api.responses import FoundPage, ResponseFilter, ResponseQuery, ResponseSort
from mstar.errors import NotFound
from mstar_coordinator.api.pages.rendering import HEADERS, page
from mstar_coordinator.api.pages.shown_responses import shown_question
from mstar_coordinator.api.routes.context import Coordinator
from mstar_coordinator.api.routes.responses import page_of
from mstar_coordinator.export.datasets import image_ending
from mstar_coordinator.responses.searching import Facet, facets, has_image, search
from mstar_coordinator.responses.sources import sources_of

IMAGE_TYPES = {"png": "image/png", "jpg": "image/jpeg", "webp": "image/webp"}
# The address has the hash of the content, so what it names never changes.
IMAGE_HEADERS = HEADERS | {"Cache-Control": "private, max-age=31536000, immutable"}
SORTS = {
    ResponseSort.PLACE: "as sampled",
    ResponseSort.FOOLED: "wrong, yet scored high",
    ResponseSort.HARDEST: "hardest first",
    ResponseSort.EASIEST: "easiest first",
    ResponseSort.BEST: "best score first",
    ResponseSort.LOWEST: "lowest score first",
}

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)


@router.get("/runs/{run_id}/responses")
def responses_page(coordinator: Coordinator, run_id: str, query: Annotated[ResponseQuery, Query()]) -> HTMLResponse:
    """Questions that a filter finds, each with all responses to it."""
    with coordinator.store.reading() as tx:
        run = tx.runs.get(run_id)
    with coordinator.responses.reading(run_id, query.iteration) as (connection, indexed):
        found: FoundPage = page_of(search(connection, query), query, indexed)
        there = facets(connection)
    return page(
        "responses.html.j2",
        run=run,
        query=query,
        index=indexed,
        there=_choices(there),
        titles={one.number: one.title for one in sources_of(run.recipe, run.iterations)},
        sorts={sort.value: label for sort, label in SORTS.items()},
        questions=[shown_question(one, run.recipe, query.text) for one in found.data],
        more=_address(query, after=found.last_id) if found.has_more else None,
        first=_address(query, after="") if query.after else None,
        exported=_address(query, after=""),
        filtered=query.model_dump(include=set(ResponseFilter.model_fields), exclude_none=True) != {},
        over=_over_iterations(found) if query.question is not None and query.iteration is None else (),
    )


@router.get("/runs/{run_id}/images/{digest}", response_class=Response)
def run_image(coordinator: Coordinator, run_id: str, digest: str) -> Response:
    """An image that a question of the run shows, by its content hash."""
    with coordinator.responses.reading(run_id) as (connection, _):
        # The store holds pictures of all projects under their hashes, so the run must show this one.
        if not has_image(connection, digest):
            raise NotFound(f"no question of run {run_id} shows this image", field="digest")
    data = coordinator.settings.storage().images().get(digest)
    kind = IMAGE_TYPES.get(image_ending(data), "application/octet-stream")
    return Response(data, media_type=kind, headers=IMAGE_HEADERS)


def _address(query: ResponseQuery, after: str | None) -> str:
    """The query string of this page with another beginning: what is not set stays out of it."""
    given = query.model_dump(mode="json", exclude_defaults=True) | {"after": after or None}
    return urlencode({name: _plain(value) for name, value in given.items() if value is not None})


def _plain(value: object) -> object:
    return str(value).lower() if isinstance(value, bool) else value


def _choices(there: list[Facet]) -> dict[str, Any]:
    """What the form offers, and how much there is."""
    return {
        "iterations": sorted({one.iteration for one in there}),
        "groups": sorted({one.group for one in there}),
        "temperatures": sorted({one.temperature for one in there}),
        "questions": sum(one.questions for one in there),
        "responses": sum(one.responses for one in there),
    }


def _over_iterations(found: FoundPage) -> tuple[tuple[int, float, int, int, int, float | None], ...]:
    """A line for each iteration that asked the question: (iteration, T, correct, n, kept, best score)."""
    lines = []
    for one in found.data:
        scores = [response.reward for response in one.responses if response.reward is not None]
        correct, kept = (sum(getattr(r, name) for r in one.responses) for name in ("correct", "kept"))
        lines.append((one.iteration, one.temperature, correct, len(one.responses), kept, max(scores, default=None)))
    return tuple(lines)
